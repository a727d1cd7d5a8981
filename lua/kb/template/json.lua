-- JSON written as Python's json.dumps writes it, to the byte: the spaces, the
-- escapes and the floats. (Reading is done by `kb.core.json`.)
local data = require "kb.data"
local operators = require "kb.template.operators"
local sorting = require "kb.template.sorting"
local text = require "kb.template.text"
local values = require "kb.template.values"

local M = {}

local ESCAPES = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
  ["\b"] = "\\b", ["\f"] = "\\f",
}

local function escape_control(byte)
  return ESCAPES[byte] or ("\\u%04x"):format(byte:byte())
end

local function escape_wide(character)
  local point = utf8.codepoint(character)
  if point < 0x10000 then return ("\\u%04x"):format(point) end
  point = point - 0x10000
  return ("\\u%04x\\u%04x"):format(0xD800 + (point >> 10), 0xDC00 + (point & 0x3FF))
end

local function quote(string, options)
  string = string:gsub('[%c"\\]', function(byte)
    return byte == "\127" and byte or escape_control(byte)
  end)
  if options.ascii ~= false and string:find("[\128-\255]") then
    if not utf8.len(string) then values.fail("a string that is not UTF-8 cannot become JSON") end
    string = string:gsub("[\194-\244][\128-\191]*", escape_wide)
  end
  return '"' .. string .. '"'
end

local NUMBERS = { ["inf"] = "Infinity", ["-inf"] = "-Infinity", ["nan"] = "NaN" }

local function number_text(number)
  local written = text.str(number)
  return NUMBERS[written] or written
end

local encode

local function key_text(key, options)
  local kind = values.kind(key)
  if kind == "string" then return quote(key, options) end
  if kind == "null" then return '"null"' end
  if kind == "boolean" then return key and '"true"' or '"false"' end
  if kind == "integer" or kind == "float" then return '"' .. number_text(key) .. '"' end
  values.fail(("a key of JSON must be a string, not '%s'"):format(values.type_name(key)))
end

local function join(parts, open, close, options, depth)
  if #parts == 0 then return open .. close end
  local indent = options.indent
  if not indent then
    return open .. table.concat(parts, options.comma or ", ") .. close
  end
  local margin = type(indent) == "string" and indent or (" "):rep(indent)
  local inner = "\n" .. margin:rep(depth + 1)
  return open .. inner .. table.concat(parts, (options.comma or ",") .. inner)
    .. "\n" .. margin:rep(depth) .. close
end

local function encode_list(list, options, depth)
  local parts = {}
  for i = 1, #list do parts[i] = encode(list[i], options, depth + 1) end
  return join(parts, "[", "]", options, depth)
end

local function encode_map(map, options, depth)
  local keys = data.keys(map)
  if options.sort and operators.truth(options.sort) then keys = sorting.sorted(keys) end
  local parts = {}
  for i, key in ipairs(keys) do
    parts[i] = key_text(key, options) .. (options.colon or ": ")
      .. encode(map[key], options, depth + 1)
  end
  return join(parts, "{", "}", options, depth)
end

function encode(value, options, depth)
  if depth > 200 then values.fail("the value is nested too deep for JSON, or holds itself") end
  local kind = values.kind(value)
  if kind == "string" then return quote(value, options) end
  if kind == "integer" or kind == "float" then return number_text(value) end
  if kind == "boolean" then return tostring(value) end
  if kind == "null" then return "null" end
  if kind == "list" then return encode_list(value, options, depth) end
  if kind == "map" then return encode_map(value, options, depth) end
  if kind == "foreign" then return quote(tostring(value), options) end
  if kind == "undefined" then values.fail_undefined(value) end
  values.fail(("'%s' cannot become JSON"):format(values.type_name(value)))
end

--- Write a value as JSON.
-- @param value any
-- @param options table or nil: `indent` (integer or string), `sort` (by key),
--   `ascii` (false keeps letters beyond ASCII), `comma`, `colon`
-- @return string
function M.encode(value, options)
  return encode(value, options or {}, 0)
end

return M
