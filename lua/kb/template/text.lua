-- How values read as text: Python's str() and repr(), and strings counted in
-- characters instead of bytes.
local secret = require "kb.secret"
local unknown = require "kb.unknown"
local values = require "kb.template.values"
local data = require "kb.data"

local M = {}

local kind_of = values.kind
local type, tostring, math_type = type, tostring, math.type

-- The shortest figures that read back as the same number, with its exponent.
local function shortest(number)
  for precision = 14, 16 do
    local text = string.format("%." .. precision .. "e", number)
    if precision == 16 or tonumber(text) == number then
      local sign, first, rest, exponent = text:match("^(-?)(%d)%.(%d+)e([+-]%d+)$")
      return sign, (first .. rest):gsub("0+$", ""), tonumber(exponent)
    end
  end
end

local function float_text(number)
  if number ~= number then return "nan" end
  if number == math.huge then return "inf" end
  if number == -math.huge then return "-inf" end
  if number == 0 then return 1 / number < 0 and "-0.0" or "0.0" end
  local sign, figures, exponent = shortest(number)
  exponent = math.tointeger(exponent)
  if exponent < -4 or exponent >= 16 then
    local rest = figures:sub(2)
    local mantissa = figures:sub(1, 1) .. (rest ~= "" and "." .. rest or "")
    return ("%s%se%s%02d"):format(sign, mantissa, exponent < 0 and "-" or "+", math.abs(exponent))
  end
  if exponent < 0 then return sign .. "0." .. ("0"):rep(-exponent - 1) .. figures end
  if #figures <= exponent + 1 then
    return sign .. figures .. ("0"):rep(exponent + 1 - #figures) .. ".0"
  end
  return sign .. figures:sub(1, exponent + 1) .. "." .. figures:sub(exponent + 2)
end
M.float_text = float_text

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\" }

local function escape_byte(byte)
  return ESCAPES[byte] or ("\\x%02x"):format(byte:byte())
end

--- Write a string as Python's repr() does.
function M.quote(text)
  local quote = "'"
  if text:find("'", 1, true) and not text:find('"', 1, true) then quote = '"' end
  text = text:gsub("[%c\\]", escape_byte):gsub("\194[\128-\160]", function(pair)
    return ("\\x%02x"):format(pair:byte(2))
  end)
  if quote == "'" then text = text:gsub("'", "\\'") end
  return quote .. text .. quote
end

local repr

local function repr_list(list, seen)
  local parts = {}
  for i = 1, #list do parts[i] = repr(list[i], seen) end
  local inner = table.concat(parts, ", ")
  if values.is_tuple(list) then return "(" .. inner .. (#list == 1 and ",)" or ")") end
  return "[" .. inner .. "]"
end

local function repr_map(map, seen)
  local parts = {}
  for key, value in data.pairs(map) do
    parts[#parts + 1] = repr(key, seen) .. ": " .. repr(value, seen)
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

local function object_text(value)
  local text = getmetatable(value).text
  if text then return text(value) end
  return "<" .. getmetatable(value).name .. ">"
end

-- Secrets are put in as they are: what kbrun prints is masked by its content.
local function foreign_text(value)
  values.check_known(value)
  if secret.is(value) then return secret.reveal(value) end
  return tostring(value)
end

local function foreign_repr(value)
  return secret.is(value) and M.quote(secret.reveal(value)) or foreign_text(value)
end

local SCALARS = {
  string = M.quote,
  integer = tostring,
  float = float_text,
  boolean = function(value) return value and "True" or "False" end,
  null = function() return "None" end,
  undefined = function(value)
    return values.is_nothing(value) and "" or values.fail_undefined(value)
  end,
  object = object_text,
  foreign = foreign_repr,
}

-- `seen` holds the containers being written, to end in values that hold themselves.
function repr(value, seen)
  local kind = kind_of(value)
  local scalar = SCALARS[kind]
  if scalar then return scalar(value) end
  if seen[value] then return kind == "list" and "[...]" or "{...}" end
  seen[value] = true
  local text = (kind == "list" and repr_list or repr_map)(value, seen)
  seen[value] = nil
  return text
end

--- Write a value as Python's repr() does.
function M.repr(value)
  return repr(value, {})
end

-- The texts of small integers, made once each.
M.integers = setmetatable({}, { __index = function(texts, number)
  local written = tostring(number)
  if number >= -1000 and number <= 100000 then texts[number] = written end
  return written
end })
local integers = M.integers

--- Write a value as Python's str() does.
-- @raise when it is undefined, or holds what is undefined
function M.str(value)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "number" then
    return math_type(value) == "integer" and integers[value] or float_text(value)
  end
  if kind_of(value) == "foreign" then return foreign_text(value) end
  return (repr(value, {}))
end
local str = M.str

--- Write a value as the output of a template: null is nothing.
-- An unknown value is given back: joined to text it makes the whole unknown.
function M.output(value)
  if type(value) == "string" then return value end
  if math_type(value) == "integer" then return integers[value] end
  if value == data.null then return "" end
  return unknown.is(value) and value or str(value)
end

--- Count the characters of a string; bytes where it is not UTF-8.
function M.length(text)
  if not text:find("[\128-\255]") then return #text end
  return utf8.len(text) or #text
end

--- Cut a string by characters, both ends counted from 1 and included.
function M.sub(text, from, to)
  if to < from then return "" end
  if not text:find("[\128-\255]") or not utf8.len(text) then return text:sub(from, to) end
  local length = utf8.len(text)
  if from > length then return "" end
  local last = to >= length and #text or utf8.offset(text, to + 1) - 1
  return text:sub(utf8.offset(text, from), last)
end

--- Cut a string into its characters.
-- @return a Lua table of strings
function M.characters(text)
  local characters = {}
  local pattern = utf8.len(text) and utf8.charpattern or "."
  if pattern == "." then pattern = "[\0-\255]" end
  for character in text:gmatch(pattern) do characters[#characters + 1] = character end
  return characters
end

-- A template that makes text beyond this is stopped before memory is.
local LIMIT = 64 * 1024 * 1024

--- Repeat a string, within the limit on text.
function M.repeated(text, count)
  if count <= 0 then return "" end
  if #text * count > LIMIT then values.fail("text of more than 64 MiB") end
  return text:rep(count)
end

--- Join pieces of which some are unknown.
function M.fold(parts, count)
  local whole = ""
  for i = 1, count do whole = whole .. M.output(parts[i]) end
  return whole
end

local function join_any(...)
  local parts, size = { ... }, 0
  for i = 1, #parts do
    local part = parts[i]
    if type(part) ~= "string" then
      if unknown.is(part) then return M.fold(parts, #parts) end
      part = str(part)
      parts[i] = part
    end
    size = size + #part
  end
  if size > LIMIT then values.fail("text of more than 64 MiB") end
  return table.concat(parts)
end

--- Join the texts of values, as the operator `~` does. Two or three strings, which is what it
-- mostly joins, need no table.
function M.join(a, b, c, ...)
  if type(a) == "string" and type(b) == "string" and (c == nil or type(c) == "string")
    and select("#", ...) == 0 then
    local whole = c and a .. b .. c or a .. b
    if #whole > LIMIT then values.fail("text of more than 64 MiB") end
    return whole
  elseif c == nil then
    return join_any(a, b)
  end
  return join_any(a, b, c, ...)
end

return M
