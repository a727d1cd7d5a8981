-- What Python's operators do with the values of templates.
local data = require "kb.data"
local text = require "kb.template.text"
local values = require "kb.template.values"

local M = {}

local kind_of, fail = values.kind, values.fail
local null = data.null
local type, math_type = type, math.type

local function refuse_undefined(value)
  values.check_known(value)
  if values.is_undefined(value) then values.fail_undefined(value) end
end

local function refuse_operands(op, a, b)
  refuse_undefined(a)
  refuse_undefined(b)
  fail(("'%s' does not work between '%s' and '%s'"):format(
    op, values.type_name(a), values.type_name(b)))
end

--- Say whether Python takes a value for true.
function M.truth(value)
  local kind = type(value)
  if kind == "boolean" then return value end
  if kind == "string" then return value ~= "" end
  if kind == "number" then return value ~= 0 end
  if kind ~= "table" then return value ~= nil end
  local class = kind_of(value)
  if class == "list" then return #value > 0 end
  if class == "map" then return next(value) ~= nil end
  if class == "null" or values.is_nothing(value) then return false end
  refuse_undefined(value)
  return true
end
local truth = M.truth

--- Give the value when it is true, and false when not: for `or`.
function M.true_or_false(value)
  return truth(value) and value
end

-- In `c and yes or no` a Lua false must not pass for "no": such values travel
-- as this mark, and `unpacked` turns it back.
local PACKED_FALSE = {}

--- Turn false into a mark that Lua counts as true.
function M.packed(value)
  if value == false then return PACKED_FALSE end
  return value
end

--- Turn the mark for false back.
function M.unpacked(value)
  if value == PACKED_FALSE then return false end
  return value
end

--- Give nil when the value is true, else the value, packed: for `and`.
function M.false_or_nil(value)
  if truth(value) then return nil end
  return M.packed(value)
end

--- Turn a value that Python counts as a number into one, or give nil.
local function number_of(value)
  if type(value) == "number" then return value end
  if value == true then return 1 end
  if value == false then return 0 end
end
M.number_of = number_of

local function overflow()
  fail("the number does not fit into 64 bits")
end

local function joined_lists(a, b)
  local items = table.move(a, 1, #a, 1, {})
  table.move(b, 1, #b, #items + 1, items)
  return values.is_tuple(a) and values.tuple(items) or values.list(items)
end

--- Compute `a + b`.
function M.add(a, b)
  local x, y = number_of(a), number_of(b)
  if x and y then
    local sum = x + y
    if math_type(sum) == "integer" and ((x ~ sum) & (y ~ sum)) < 0 then overflow() end
    return sum
  end
  if type(a) == "string" and type(b) == "string" then return text.join(a, b) end
  if kind_of(a) == "list" and kind_of(b) == "list"
    and values.is_tuple(a) == values.is_tuple(b) then
    return joined_lists(a, b)
  end
  refuse_operands("+", a, b)
end

--- Compute `a - b`.
function M.subtract(a, b)
  local x, y = number_of(a), number_of(b)
  if not (x and y) then refuse_operands("-", a, b) end
  local difference = x - y
  if math_type(difference) == "integer" and ((x ~ y) & (x ~ difference)) < 0 then overflow() end
  return difference
end

local function repeated_list(list, count)
  local items = {}
  if count * #list > 1000000 then fail("a list of more than a million items") end
  for _ = 1, count do table.move(list, 1, #list, #items + 1, items) end
  return values.is_tuple(list) and values.tuple(items) or values.list(items)
end

local function multiply_sequence(a, b)
  if math_type(b) ~= "integer" then return nil end
  if type(a) == "string" then return text.repeated(a, b) end
  if kind_of(a) == "list" then return repeated_list(a, b) end
end

--- Compute `a * b`.
function M.multiply(a, b)
  local x, y = number_of(a), number_of(b)
  if x and y then
    local product = x * y
    if math_type(product) == "integer" and math.abs(x * 1.0 * y) >= 2.0 ^ 63 then overflow() end
    return product
  end
  return multiply_sequence(a, y) or multiply_sequence(b, x) or refuse_operands("*", a, b)
end

local function divisible(op, a, b)
  local x, y = number_of(a), number_of(b)
  if not (x and y) then refuse_operands(op, a, b) end
  if y == 0 then fail("division by zero") end
  return x, y
end

--- Compute `a / b`.
function M.divide(a, b)
  local x, y = divisible("/", a, b)
  return x / y
end

--- Compute `a // b`.
function M.floor_divide(a, b)
  local x, y = divisible("//", a, b)
  return x // y
end

--- Compute `a % b`; for a string this is formatting.
function M.modulo(a, b)
  if type(a) == "string" then
    return require("kb.template.format").percent(a, b)
  end
  local x, y = divisible("%", a, b)
  return x % y
end

local function integer_power(base, exponent)
  local result = 1
  for _ = 1, exponent do
    result = M.multiply(result, base)
    if result == 0 or result == 1 and base == 1 then break end
  end
  return result
end

--- Compute `a ** b`.
function M.power(a, b)
  local x, y = number_of(a), number_of(b)
  if not (x and y) then refuse_operands("**", a, b) end
  if math_type(x) == "integer" and math_type(y) == "integer" and y >= 0 then
    if x == -1 then return y % 2 == 0 and 1 or -1 end
    return integer_power(x, y)
  end
  if x == 0 and y < 0 then fail("0.0 cannot be raised to a negative power") end
  return x ^ y
end

--- Compute `-value`.
function M.negative(value)
  local number = number_of(value)
  if not number then refuse_operands("-", value, value) end
  return -number
end

--- Compute `+value`.
function M.positive(value)
  local number = number_of(value)
  if not number then refuse_operands("+", value, value) end
  return number
end

local equal

local function equal_lists(a, b)
  if #a ~= #b or values.is_tuple(a) ~= values.is_tuple(b) then return false end
  for i = 1, #a do
    if not equal(a[i], b[i]) then return false end
  end
  return true
end

local function equal_maps(a, b)
  if data.length(a) ~= data.length(b) then return false end
  for key, value in data.pairs(a) do
    local other = b[key]
    if other == nil or not equal(value, other) then return false end
  end
  return true
end

function equal(a, b)
  local kind_a, kind_b = type(a), type(b)
  if kind_a ~= "table" and kind_b ~= "table" then
    if kind_a == kind_b then return a == b end
    local x, y = number_of(a), number_of(b)
    return x ~= nil and x == y
  end
  refuse_undefined(a)
  refuse_undefined(b)
  if a == b then return true end
  local class = kind_of(a)
  if class ~= kind_of(b) then return false end
  if class == "list" then return equal_lists(a, b) end
  return class == "map" and equal_maps(a, b)
end
M.equal = equal

local less

local function less_list(a, b)
  for i = 1, math.min(#a, #b) do
    if not equal(a[i], b[i]) then return less(a[i], b[i]) end
  end
  return #a < #b
end

--- Compare as Python's `<` does. Strings go by code point, which for UTF-8 is
-- by byte, as Lua's `<` does in the C locale that kbrun never leaves.
function less(a, b, op)
  local x, y = number_of(a), number_of(b)
  if x and y then return x < y end
  if type(a) == "string" and type(b) == "string" then return a < b end
  if kind_of(a) == "list" and kind_of(b) == "list" and values.is_tuple(a) == values.is_tuple(b) then
    return less_list(a, b)
  end
  refuse_operands(op or "<", a, b)
end
M.less = less

--- Compare as `a > b`.
function M.greater(a, b)
  return less(b, a, ">")
end

--- Compare as `a <= b`.
function M.less_equal(a, b)
  return less(a, b, "<=") or equal(a, b)
end

--- Compare as `a >= b`.
function M.greater_equal(a, b)
  return less(b, a, ">=") or equal(a, b)
end

local function list_contains(list, item)
  for i = 1, #list do
    if equal(list[i], item) then return true end
  end
  return false
end

--- Say whether `item in container` holds.
function M.contains(container, item)
  if type(container) == "string" then
    if type(item) ~= "string" then refuse_operands("in", item, container) end
    return container:find(item, 1, true) ~= nil
  end
  local kind = kind_of(container)
  if kind == "list" then return list_contains(container, item) end
  if kind == "map" then
    refuse_undefined(item)
    if type(item) == "table" and item ~= null and not values.is_tuple(item) then
      fail(("a map has no keys such as '%s'"):format(values.type_name(item)))
    end
    return container[item] ~= nil
  end
  refuse_undefined(container)
  fail(("'in' needs a list, a map or a string, not '%s'"):format(values.type_name(container)))
end

return M
