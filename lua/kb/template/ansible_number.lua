-- Ansible's filters on numbers, sizes, times and chance.
local access = require "kb.template.access"
local arguments = require "kb.template.arguments"
local signature = require "kb.template.signature"
local text = require "kb.template.text"
local values = require "kb.template.values"

local M = {}

local fail, given = values.fail, arguments.given

local function define(names, parameters, call)
  signature.define(M, names, parameters, call)
end

define("log", "base?", function(value, base)
  value = arguments.number(value, "what 'log' takes")
  if value <= 0 then fail("math domain error") end
  if base == nil then return math.log(value) end
  if base == 10 then return math.log(value, 10) end
  return math.log(value) / math.log(arguments.number(base))
end)

define("pow", "y", function(value, exponent)
  return arguments.number(value) ^ arguments.number(exponent)
end)

define("root", "base?", function(value, base)
  value, base = arguments.number(value), base or 2
  if base == 2 then
    if value < 0 then fail("math domain error") end
    return math.sqrt(value)
  end
  return value ^ (1.0 / arguments.number(base))
end)

local SIZES = {
  { "Y", 2.0 ^ 80 }, { "Z", 2.0 ^ 70 }, { "E", 1 << 60 }, { "P", 1 << 50 }, { "T", 1 << 40 },
  { "G", 1 << 30 }, { "M", 1 << 20 }, { "K", 1 << 10 }, { "B", 1 },
}

define("human_readable", "isbits? unit?", function(value, bits, unit)
  value = arguments.number(value, "what 'human_readable' takes")
  local base = bits and "bits" or "Bytes"
  unit = given(unit)
  for _, size in ipairs(SIZES) do
    local fits = not unit and value >= size[2] or unit and unit:upper() == size[1]
    if fits or size[1] == "B" then
      local suffix = size[1] == "B" and base or size[1] .. base:sub(1, 1)
      return ("%.2f %s"):format(value / size[2], suffix)
    end
  end
end)

local function size_of(letter)
  for _, size in ipairs(SIZES) do
    if size[1] == letter then return size[2] end
  end
end

local function check_unit(unit, bits, source)
  local mark, word = bits and "b" or "B", bits and "bit" or "byte"
  if #unit > 1 and not unit:lower():find(word, 1, true) and unit:sub(2, 2) ~= mark then
    fail(("human_to_bytes() failed to convert %s, expected %s%s"):format(
      source, unit:sub(1, 1):upper(), mark))
  end
end

local function round_even(number)
  local low = math.floor(number)
  local rest = number - low
  if rest > 0.5 or rest == 0.5 and low % 2 == 1 then low = low + 1 end
  return math.tointeger(low) or fail("the number does not fit into 64 bits")
end

define("human_to_bytes", "default_unit? isbits?", function(value, default_unit, bits)
  local source = text.str(value)
  local digits, unit = source:match("^%s*(%d*%.?%d*)%s*(%a*)")
  local number = tonumber(digits)
  if not number then fail("human_to_bytes() can't interpret following number: " .. source) end
  if unit == "" then unit = given(default_unit) end
  if not unit then return round_even(number) end
  local size = size_of(unit:sub(1, 1):upper())
  if not size then
    fail(("human_to_bytes() failed to convert %s (unit = %s)"):format(source, unit))
  end
  check_unit(unit, bits, source)
  return round_even(number * size)
end)

-- A generator of our own, so that a seed gives the same choice in every run and
-- on every machine. (Python's would give others.)
local function generator(seed)
  seed = given(seed)
  if seed == nil then return math.random end
  local state = 14695981039346656037
  for byte in text.str(seed):gmatch(".") do state = (state ~ byte:byte()) * 1099511628211 end
  return function(low, high)
    state = state * 6364136223846793005 + 1442695040888963407
    return low + ((state >> 33) % (high - low + 1))
  end
end

define("random", "start? step? seed?", function(value, start, step, seed)
  local pick = generator(seed)
  if math.type(value) == "integer" then
    start, step = given(start) or 0, given(step) or 1
    local count = (value - start + step - 1) // step
    if count < 1 then fail("'random' has nothing to choose from") end
    return start + step * pick(0, count - 1)
  end
  if given(start) or given(step) then
    fail("start and step can only be used with integer values")
  end
  local items, count = access.items(value)
  if count == 0 then return values.undefined(nil, "No random item, sequence was empty.") end
  return items[pick(1, count)]
end)

define("shuffle", "seed?", function(value, seed)
  local pick = generator(seed)
  local items, count = arguments.items(value)
  for i = count, 2, -1 do
    local other = pick(1, i)
    items[i], items[other] = items[other], items[i]
  end
  return values.list(items)
end)

define("strftime", "second? utc?", function(value, second, utc)
  second = given(second)
  local time = second == nil and os.time() or tonumber(second)
  if not time then fail(("Invalid value for epoch value (%s)"):format(text.str(second))) end
  local ok, formatted = pcall(os.date, (utc and "!" or "") .. text.str(value), math.floor(time))
  return ok and formatted or fail("'strftime' does not know this format: " .. text.str(value))
end)

return M
