-- Attributes, items, slices, and going through values.
local data = require "kb.data"
local methods = require "kb.template.methods"
local text = require "kb.template.text"
local values = require "kb.template.values"

local M = {}

local kind_of, fail = values.kind, values.fail
local type, math_type, getmetatable = type, math.type, getmetatable
local CONTEXT_LIST = values.CONTEXT_LIST

local function missing_attribute(object, key)
  return values.undefined(key, ("'%s object' has no attribute %s"):format(
    values.type_name(object), text.repr(key)))
end

-- An attribute that is not simply a string key of a table.
local function attribute_slow(object, key)
  if values.is_nothing(object) then values.fail_undefined(object) end
  if values.is_undefined(object) then return object end
  local meta = type(object) == "table" and getmetatable(object)
  if meta and meta.kb_kind == "object" then
    local found = type(key) == "string" and object[key] or nil
    if found == nil and meta.attribute then found = meta.attribute(object, key) end
    if found == nil then return missing_attribute(object, key) end
    return found
  end
  local method = methods.bound(object, key)
  if method then return method end
  local foreign = meta or type(object) == "userdata"
  local found
  if foreign and kind_of(object) == "foreign" then found = object[key] end
  if found == nil and kind_of(object) == "map" then found = object[key] end
  if found == nil then return missing_attribute(object, key) end
  return found
end

--- Read `object.key`, where the key is the name of no method of maps.
function M.attribute(object, key)
  if type(object) == "table" then
    local value = object[key]
    if value ~= nil then return value end
  end
  return attribute_slow(object, key)
end

--- Read `object.key` where methods come first.
M.attribute_or_method = attribute_slow

local function sequence_place(key, length)
  if key == true then key = 1 elseif key == false then key = 0 end
  if math_type(key) ~= "integer" then return nil end
  return key < 0 and length + key + 1 or key + 1
end

local function string_item(object, key)
  local place = sequence_place(key, text.length(object))
  if place and place >= 1 and place <= text.length(object) then
    return text.sub(object, place, place)
  end
end

local function list_item(object, key)
  local place = sequence_place(key, #object)
  return place and object[place]
end

--- Read `object[key]`: an item first, then an attribute of that name.
function M.item(object, key)
  local kind = kind_of(object)
  local value
  if kind == "list" then
    value = list_item(object, key)
  elseif kind == "map" then
    if key ~= data.null and key ~= nil then value = object[key] end
  elseif kind == "string" then
    value = string_item(object, key)
  elseif kind == "undefined" then
    return values.is_nothing(object) and values.fail_undefined(object) or object
  end
  if value ~= nil then return value end
  if values.is_undefined(key) then values.fail_undefined(key) end
  if type(key) == "string" then return attribute_slow(object, key) end
  return missing_attribute(object, key)
end

local function slice_bound(value, name)
  if value == nil or value == data.null then return nil end
  if math_type(value) ~= "integer" then
    if values.is_undefined(value) then values.fail_undefined(value) end
    fail(("the %s of a slice must be an integer, not '%s'"):format(name, values.type_name(value)))
  end
  return value
end

-- Bring a bound into 0..length, or -1..length-1 when going backwards.
local function clamp(bound, length, step, default)
  if bound == nil then return default end
  if bound < 0 then bound = bound + length end
  local low, high = 0, length
  if step < 0 then low, high = -1, length - 1 end
  return math.max(low, math.min(high, bound))
end

local function slice_places(length, from, to, step)
  step = slice_bound(step, "step") or 1
  if step == 0 then fail("the step of a slice cannot be zero") end
  from = clamp(slice_bound(from, "start"), length, step, step > 0 and 0 or length - 1)
  to = clamp(slice_bound(to, "end"), length, step, step > 0 and length or -1)
  return from, step > 0 and to - 1 or to + 1, step
end

--- Read `object[from:to:step]`; nil stands for a bound that was left out.
function M.slice(object, from, to, step)
  local kind = kind_of(object)
  if kind == "undefined" then
    return values.is_nothing(object) and values.fail_undefined(object) or object
  end
  if kind ~= "string" and kind ~= "list" then
    return missing_attribute(object, "slice")
  end
  local items = kind == "string" and text.characters(object) or object
  local first, last, stride = slice_places(#items, from, to, step)
  local taken = {}
  for place = first, last, stride do taken[#taken + 1] = items[place + 1] end
  if kind == "string" then return table.concat(taken) end
  return values.is_tuple(object) and values.tuple(taken) or values.list(taken)
end

--- Give the items of a value as a Lua sequence with its length.
-- The sequence may be the value itself and must not be changed.
function M.items(value)
  if type(value) == "table" then
    if getmetatable(value) == CONTEXT_LIST then return value, #value end
    local kind = kind_of(value)
    if kind == "list" then return value, #value end
    if kind == "map" then
      local keys = data.keys(value)
      return keys, #keys
    end
    values.check_known(value)
    if values.is_nothing(value) then return {}, 0 end
    if kind == "undefined" then values.fail_undefined(value) end
  elseif type(value) == "string" then
    local characters = text.characters(value)
    return characters, #characters
  end
  fail(("'%s' object is not iterable"):format(values.type_name(value)))
end

--- Check that a value can be unpacked into so many names, and give its items.
function M.unpack(value, count)
  local items, length = M.items(value)
  if length ~= count then
    fail(("cannot unpack %d values into %d names"):format(length, count))
  end
  return table.unpack(items, 1, count)
end

return M
