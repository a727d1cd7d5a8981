-- Jinja's filters on single values: defaults, numbers, conversions.
local access = require "kb.template.access"
local arguments = require "kb.template.arguments"
local data = require "kb.data"
local methods = require "kb.template.methods"
local operators = require "kb.template.operators"
local signature = require "kb.template.signature"
local sorting = require "kb.template.sorting"
local text = require "kb.template.text"
local values = require "kb.template.values"

local M = {}

local CONTEXT_LIST = values.CONTEXT_LIST
local fail, null = values.fail, data.null

local function define(names, parameters, call)
  signature.define(M, names, parameters, call)
end

define("default d", "default_value? boolean?", function(value, default, boolean)
  if values.is_undefined(value) or boolean and operators.truth(boolean)
    and not operators.truth(value) then
    if default == nil then return "" end
    return default
  end
  return value
end)

--- Read a string as Python's int() does, in a base; nil when it is none.
local function parse_integer(string, base)
  local sign, digits = string:match("^%s*([+-]?)([%w_]+)%s*$")
  if not digits or digits:find("^_") or digits:find("__") or digits:find("_$") then return nil end
  digits = digits:gsub("_", ""):lower()
  local marks = { [16] = "^0x", [8] = "^0o", [2] = "^0b" }
  if base == 0 then
    for marked, mark in pairs(marks) do
      if digits:find(mark) then base = marked end
    end
    if base == 0 then base = 10 end
  end
  if marks[base] then digits = digits:gsub(marks[base], "") end
  local number = digits ~= "" and base >= 2 and base <= 36 and tonumber(digits, base)
  if not number then return nil end
  if base == 10 and not math.tointeger(tonumber(digits)) then
    fail("the number does not fit into 64 bits")
  end
  return sign == "-" and -number or number
end

local SPECIAL = {
  inf = math.huge, infinity = math.huge, nan = 0 / 0,
}

--- Read a string as Python's float() does; nil when it is none.
local function parse_float(string)
  local sign, body = string:match("^%s*([+-]?)(%S+)%s*$")
  if not body then return nil end
  local number = SPECIAL[body:lower()]
  if not number and body:find("^[%d._]*[eE]?[+-]?[%d_]*$") and body:find("%d") then
    number = tonumber((body:gsub("_", "")))
  end
  if not number then return nil end
  return (sign == "-" and -1.0 or 1.0) * number
end

local function truncated(number)
  if number ~= number or number == math.huge or number == -math.huge then return nil end
  return math.tointeger(number >= 0 and math.floor(number) or math.ceil(number))
end

define("int", "default? base?", function(value, default, base)
  if default == nil then default = 0 end
  if values.is_undefined(value) then values.fail_undefined(value) end
  if type(value) == "string" then
    local number = parse_integer(value, base or 10)
    if number then return number end
    local float = parse_float(value)
    local whole = float and truncated(float)
    return whole or default
  end
  local number = operators.number_of(value)
  if not number then return default end
  return truncated(number) or default
end)

define("float", "default?", function(value, default)
  if default == nil then default = 0.0 end
  if values.is_undefined(value) then values.fail_undefined(value) end
  if type(value) == "string" then return parse_float(value) or default end
  local number = operators.number_of(value)
  return number and number * 1.0 or default
end)

define("abs", "", function(value)
  return math.abs(arguments.number(value))
end)

-- Python rounds the decimal value that the float stands for, halves to even,
-- which is what the C library's formatting does as well.
local function round_common(value, precision)
  if math.type(value) == "integer" then
    if precision >= 0 then return value end
    local unit = math.tointeger(10 ^ -precision)
    local low = value // unit * unit
    local rest = value - low
    if rest * 2 > unit or rest * 2 == unit and (low // unit) % 2 == 1 then low = low + unit end
    return low
  end
  if precision < 0 then
    return round_common(math.tointeger(math.floor(value)) or 0, precision) * 1.0
  end
  return tonumber(("%." .. precision .. "f"):format(value)) * 1.0
end

define("round", "precision? method?", function(value, precision, method)
  precision = arguments.integer(precision or 0, "the precision")
  value = arguments.number(value)
  method = method or "common"
  if method == "common" then return round_common(value, precision) end
  if method ~= "ceil" and method ~= "floor" then
    fail("the method of 'round' must be common, ceil or floor")
  end
  local unit = 10 ^ precision
  local shifted = value * unit
  return (method == "ceil" and math.ceil(shifted) or math.floor(shifted)) / unit
end)

define("string", "", text.str)

define("length count", "", function(value)
  if getmetatable(value) == CONTEXT_LIST then return #value end
  if type(value) == "string" then return text.length(value) end
  local kind = values.kind(value)
  if kind == "list" then return #value end
  if kind == "map" then return data.length(value) end
  if kind == "undefined" then values.fail_undefined(value) end
  fail(("'%s' object has no length"):format(values.type_name(value)))
end)

define("attr", "name", function(value, name)
  if values.is_undefined(value) then return value end
  if values.kind(value) == "object" then return access.attribute(value, name) end
  return methods.bound(value, name) or values.undefined(name)
end)

define("items", "", function(value)
  if values.is_undefined(value) then return values.list {} end
  local items = {}
  for key, item in data.pairs(arguments.map(value)) do
    items[#items + 1] = values.tuple { key, item }
  end
  return values.list(items)
end)

-- With the keys of maps sorted, but always in one line.
local function sorted_maps(value)
  local kind = values.kind(value)
  local copy = value
  if kind == "map" then
    copy = values.map()
    for _, key in ipairs(sorting.sorted(data.keys(value))) do
      copy[key] = sorted_maps(value[key])
    end
  elseif kind == "list" then
    copy = values.is_tuple(value) and values.tuple() or values.list()
    for i, item in ipairs(value) do copy[i] = sorted_maps(item) end
  end
  return copy
end

define("pprint", "", function(value) return text.repr(sorted_maps(value)) end)

define("safe", "", text.str)

local UNITS = { "k", "M", "G", "T", "P", "E", "Z", "Y" }

define("filesizeformat", "binary?", function(value, binary)
  local size = type(value) == "string" and parse_float(value) or arguments.number(value) * 1.0
  local base = binary and operators.truth(binary) and 1024 or 1000
  if size == 1 then return "1 Byte" end
  if size < base then return ("%d Bytes"):format(truncated(size)) end
  for i, unit in ipairs(UNITS) do
    local next_size = (base * 1.0) ^ (i + 1)
    if size < next_size or i == #UNITS then
      unit = base == 1024 and unit:upper() .. "iB" or unit .. "B"
      return ("%.1f %s"):format(base * size / next_size, unit)
    end
  end
end)

define("mandatory", "msg?", function(value, message)
  if not values.is_undefined(value) then return value end
  if message ~= nil and message ~= null then fail(text.str(message), value[1]) end
  fail(("Mandatory variable %s not defined."):format(
    value[1] and "'" .. tostring(value[1]) .. "' " or ""), value[1])
end)

define("type_debug", "", values.type_name)

local BOOLEANS = { yes = true, on = true, ["1"] = true, ["true"] = true, [1] = true }

define("bool", "", function(value)
  if values.is_undefined(value) then values.fail_undefined(value) end
  if value == null or type(value) == "boolean" then return value end
  if type(value) == "string" then value = value:lower() end
  return BOOLEANS[value] or false
end)

define("ternary", "true_val false_val none_val?", function(value, yes, no, none)
  if value == null and none ~= nil and none ~= null then return none end
  if operators.truth(value) then return yes end
  return no
end)

return M
