-- Python's two ways of formatting: `'%s' % value` and `'{}'.format(value)`.
local access = require "kb.template.access"
local operators = require "kb.template.operators"
local text = require "kb.template.text"
local values = require "kb.template.values"

local M = {}

local fail = values.fail

local function pad(body, width, align, fill)
  local missing = width - text.length(body)
  if missing <= 0 then return body end
  if align == "<" then return body .. text.repeated(fill, missing) end
  if align == "^" then
    local left = missing // 2
    return text.repeated(fill, left) .. body .. text.repeated(fill, missing - left)
  end
  return text.repeated(fill, missing) .. body
end

-- Zeros and `=` go between the sign or base mark and the digits.
local function pad_number(body, width, align, fill)
  if align ~= "=" then return pad(body, width, align, fill) end
  local sign, rest = body:match("^([+ -]?0?[xXob]?)(.*)$")
  if not sign:find("[xXob]") then sign, rest = body:match("^([+ -]?)(.*)$") end
  return sign .. pad(rest, width - #sign, ">", fill)
end

local function group_digits(digits, mark)
  local whole, rest = digits:match("^(%d+)(.*)$")
  if not whole then return digits end
  whole = whole:reverse():gsub("(%d%d%d)", "%1" .. mark):reverse():gsub("^" .. mark, "")
  return whole .. rest
end

local function in_base(number, base)
  if number == 0 then return "0" end
  local digits = {}
  while number ~= 0 do
    table.insert(digits, 1, tostring(number % base))
    number = number // base
  end
  return table.concat(digits)
end

local INTEGERS = {
  d = function(n) return ("%d"):format(n) end, x = function(n) return ("%x"):format(n) end,
  X = function(n) return ("%X"):format(n) end, o = function(n) return in_base(n, 8) end,
  b = function(n) return in_base(n, 2) end,
}
local MARKS = { x = "0x", X = "0X", o = "0o", b = "0b" }

local function integer_text(number, spec)
  local digits = INTEGERS[spec.kind](math.abs(number))
  if spec.precision then digits = ("0"):rep(spec.precision - #digits) .. digits end
  if spec.comma then digits = group_digits(digits, spec.comma) end
  if spec.mark then digits = (MARKS[spec.kind] or "") .. digits end
  return (number < 0 and "-" or spec.sign == "-" and "" or spec.sign) .. digits
end

-- C writes these as Python does, but for the bare names of what is no number.
local function float_text(number, spec)
  local magnitude = math.abs(number)
  local digits
  if number ~= number or magnitude == math.huge then
    digits = number ~= number and "nan" or "inf"
  elseif spec.kind == "%" then
    digits = ("%." .. (spec.precision or 6) .. "f"):format(magnitude * 100) .. "%"
  elseif spec.kind == "" then
    digits = text.float_text(magnitude)
    if spec.precision then
      digits = ("%." .. math.max(spec.precision, 1) .. "g"):format(magnitude)
      if not digits:find("[.e]") then digits = digits .. ".0" end
    end
  else
    digits = ("%" .. (spec.mark and "#" or "") .. "." .. (spec.precision or 6) .. spec.kind)
      :format(magnitude)
  end
  if spec.comma then digits = group_digits(digits, spec.comma) end
  local negative = number < 0 or 1 / number < 0
  return (negative and "-" or spec.sign == "-" and "" or spec.sign) .. digits
end

local function need_number(value, kind)
  local number = operators.number_of(value)
  if not number then
    if values.is_undefined(value) then values.fail_undefined(value) end
    fail(("format '%s' needs a number, not '%s'"):format(kind, values.type_name(value)))
  end
  return number
end

-- `%`: the conversions of one value.
local function convert(value, spec)
  local kind = spec.kind
  if kind == "s" or kind == "r" or kind == "a" then
    local body = kind == "s" and text.str(value) or text.repr(value)
    if spec.precision then body = text.sub(body, 1, spec.precision) end
    return pad(body, spec.width, spec.align, " ")
  elseif kind == "c" then
    return pad(type(value) == "string" and value or utf8.char(value), spec.width, spec.align, " ")
  end
  local number = need_number(value, "%" .. kind)
  local body
  if kind:find("[diuxXo]") then
    if kind == "i" or kind == "u" then spec.kind = "d" end
    if math.type(number) ~= "integer" then
      if spec.kind ~= "d" then fail("format '%" .. kind .. "' needs an integer") end
      number = math.tointeger(number < 0 and math.ceil(number) or math.floor(number))
    end
    body = integer_text(number, spec)
  else
    body = float_text(number * 1.0, spec)
  end
  return pad_number(body, spec.width, spec.align, spec.fill)
end

local function percent_spec(flags, width, precision, kind)
  local left, zero = flags:find("-", 1, true), flags:find("0", 1, true)
  return {
    kind = kind, width = tonumber(width) or 0,
    precision = precision and (math.tointeger(tonumber(precision)) or 0),
    align = left and "<" or zero and "=" or ">", fill = zero and not left and "0" or " ",
    sign = flags:find("+", 1, true) and "+" or flags:find(" ", 1, true) and " " or "-",
    mark = flags:find("#", 1, true) ~= nil,
  }
end

-- Hands out the values of a formatting: by name from a map, else in turn.
local function supplier(given)
  local kind = values.kind(given)
  local items = values.is_tuple(given) and given or { given }
  local taken = 0
  local function take(name)
    if name then
      if kind ~= "map" then fail("a format with names needs a map") end
      local value = given[name]
      if value == nil then fail(("the format names '%s', which the map lacks"):format(name)) end
      return value
    end
    taken = taken + 1
    if taken > #items then fail("not enough arguments for format string") end
    return items[taken]
  end
  return take, function()
    if taken < #items and kind ~= "map" then
      fail("not all arguments converted during string formatting")
    end
  end
end

--- Format as Python's `template % given`.
-- @param template string
-- @param given any: a tuple of values, a map for names, or one value
function M.percent(template, given)
  local take, finish = supplier(given)
  local parts, at = {}, 1
  while true do
    local from = template:find("%", at, true)
    parts[#parts + 1] = template:sub(at, (from or 0) - 1)
    if not from then break end
    local name, flags, width, dot, kind, after =
      template:match("^(%b())([-+ #0]*)([%d*]*)(%.?[%d*]*)[hlL]?(.)()", from + 1)
    if not name then
      flags, width, dot, kind, after =
        template:match("^([-+ #0]*)([%d*]*)(%.?[%d*]*)[hlL]?(.)()", from + 1)
    end
    if not kind then fail("incomplete format") end
    if kind == "%" then
      parts[#parts + 1] = "%"
    else
      if not kind:find("[diouxXeEfFgGcrsa]") then
        fail(("unsupported format character '%s'"):format(kind))
      end
      if width == "*" then width = take() end
      local precision = dot ~= "" and dot:sub(2) or nil
      if precision == "*" then precision = take() end
      local spec = percent_spec(flags, width, precision, kind)
      parts[#parts + 1] = convert(take(name and name:sub(2, -2)), spec)
    end
    at = after
  end
  finish()
  return table.concat(parts)
end

local function brace_spec(spec)
  local fill, align, rest = spec:match("^(" .. utf8.charpattern .. ")([<>=^])(.*)$")
  if not fill then
    align, rest = spec:match("^([<>=^])(.*)$")
  end
  local sign, mark, zero, width, comma, dot, kind =
    (rest or spec):match("^([-+ ]?)(#?)(0?)(%d*)([,_]?)(%.?%d*)([%a%%]?)$")
  if not sign then fail(("invalid format specifier '%s'"):format(spec)) end
  if zero == "0" and not align then fill, align = "0", "=" end
  return {
    kind = kind, width = tonumber(width) or 0, align = align, fill = fill or " ",
    precision = dot ~= "" and math.tointeger(tonumber(dot:sub(2))) or nil,
    sign = sign == "" and "-" or sign, mark = mark == "#", comma = comma ~= "" and comma or nil,
  }
end

local function format_number(number, spec)
  local body
  if math.type(number) == "integer" and (spec.kind == "" or INTEGERS[spec.kind]) then
    if spec.kind == "" then spec.kind = "d" end
    if spec.precision then fail("precision not allowed in integer format specifier") end
    body = integer_text(number, spec)
  elseif spec.kind == "n" then
    body = text.str(number)
  elseif spec.kind == "c" then
    body = utf8.char(number)
  elseif spec.kind == "" or spec.kind:find("[eEfFgG%%]") then
    body = float_text(number * 1.0, spec)
  else
    fail(("unknown format code '%s' for a number"):format(spec.kind))
  end
  return pad_number(body, spec.width, spec.align or ">", spec.fill)
end

local function format_value(value, spec_text)
  if spec_text == "" then return text.str(value) end
  local spec = brace_spec(spec_text)
  local as_number = type(value) == "boolean" and spec.kind ~= "" and spec.kind ~= "s"
  if type(value) == "number" or as_number then
    return format_number(need_number(value, spec.kind), spec)
  end
  if type(value) ~= "string" and type(value) ~= "boolean" then
    fail(("'%s' cannot be formatted with '%s'"):format(values.type_name(value), spec_text))
  end
  if spec.kind ~= "" and spec.kind ~= "s" then
    fail(("unknown format code '%s' for a string"):format(spec.kind))
  end
  local body = text.str(value)
  if spec.precision then body = text.sub(body, 1, spec.precision) end
  return pad(body, spec.width, spec.align or "<", spec.fill)
end

-- A field's name: a number, a name or nothing, then attributes and items.
local function field_value(field, state)
  local first, rest = field:match("^([^.%[]*)(.*)$")
  local value
  if first == "" then
    state.next = state.next + 1
    value = state.places[state.next]
  elseif first:find("^%d+$") then
    value = state.places[math.tointeger(tonumber(first)) + 1]
  else
    value = state.named and state.named[first]
  end
  if value == nil then fail(("the format has no value for '{%s}'"):format(field)) end
  for attribute, item in rest:gmatch("%.?([^.%[%]]*)%[?([^%]]*)%]?") do
    if attribute ~= "" then value = access.attribute(value, attribute) end
    if item ~= "" then
      value = access.item(value, math.tointeger(tonumber(item)) or item)
    end
  end
  return value
end

local expand

local function replace_field(field, state)
  local name, conversion, spec = field:match("^([^!:]*)!?([rsa]?):?(.*)$")
  local value = field_value(name, state)
  if conversion == "r" then value = text.repr(value)
  elseif conversion == "s" then value = text.str(value) end
  return format_value(value, expand(spec, state))
end

function expand(template, state)
  local parts, at = {}, 1
  while true do
    local from = template:find("[{}]", at)
    parts[#parts + 1] = template:sub(at, (from or 0) - 1)
    if not from then break end
    local mark = template:sub(from, from)
    if template:sub(from + 1, from + 1) == mark then
      parts[#parts + 1], at = mark, from + 2
    else
      local field, after = template:match("^(%b{})()", from)
      if not field then fail(("single '%s' encountered in format string"):format(mark)) end
      parts[#parts + 1], at = replace_field(field:sub(2, -2), state), after
    end
  end
  return table.concat(parts)
end

--- Format as Python's `template.format(*places, **named)`.
function M.braces(template, named, ...)
  return expand(template, { named = named, places = { ... }, next = 0 })
end

return M
