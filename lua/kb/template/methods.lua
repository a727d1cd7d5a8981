-- The methods of Python's str, list and dict that templates use.
local data = require "kb.data"
local signature = require "kb.template.signature"
local strings = require "kb.template.methods_string"
local values = require "kb.template.values"

local M = {}

local kind_of, fail = values.kind, values.fail
local null = data.null

local lists, maps, tuples = {}, {}, {}

local function equal(a, b)
  return require("kb.template.operators").equal(a, b)
end

local function find_item(list, item)
  for i = 1, #list do
    if equal(list[i], item) then return i end
  end
  fail("the item is not in the list")
end

local function on_sequences(names, parameters, call)
  signature.define(lists, names, parameters, call)
  signature.define(tuples, names, parameters, call)
end

on_sequences("index", "value", function(list, item) return find_item(list, item) - 1 end)

on_sequences("count", "value", function(list, item)
  local count = 0
  for i = 1, #list do
    if equal(list[i], item) then count = count + 1 end
  end
  return count
end)

-- Methods that change a list; they all refuse lists of the context.
local function define_changing(registry, names, parameters, call)
  signature.define(registry, names, parameters, function(container, ...)
    values.check_own(container)
    local result = call(container, ...)
    if result == nil then return null end
    return result
  end)
end

define_changing(lists, "append", "value", function(list, item) list[#list + 1] = item end)

define_changing(lists, "extend", "values", function(list, more)
  local items, count = require("kb.template.access").items(more)
  table.move(items, 1, count, #list + 1, list)
end)

define_changing(lists, "insert", "place value", function(list, place, item)
  if place < 0 then place = math.max(0, #list + place) end
  table.insert(list, math.min(place, #list) + 1, item)
end)

define_changing(lists, "pop", "place?", function(list, place)
  place = place or -1
  local at = place < 0 and #list + place + 1 or place + 1
  if at < 1 or at > #list then fail("pop from a place that the list does not have") end
  return table.remove(list, at)
end)

define_changing(lists, "remove", "value", function(list, item)
  table.remove(list, find_item(list, item))
end)

define_changing(lists, "clear", "", function(list)
  for i = #list, 1, -1 do list[i] = nil end
end)

define_changing(lists, "reverse", "", function(list)
  local count = #list
  for i = 1, count // 2 do list[i], list[count + 1 - i] = list[count + 1 - i], list[i] end
end)

define_changing(lists, "sort", "", function(list)
  local sorted = require("kb.template.sorting").sorted(list)
  table.move(sorted, 1, #sorted, 1, list)
end)

signature.define(lists, "copy", "", function(list)
  return values.list(table.move(list, 1, #list, 1, {}))
end)

signature.define(maps, "items", "", function(map)
  local items = {}
  for key, value in data.pairs(map) do items[#items + 1] = values.tuple { key, value } end
  return values.list(items)
end)

signature.define(maps, "keys", "", function(map) return values.list(data.keys(map)) end)

signature.define(maps, "values", "", function(map)
  local items = {}
  for _, value in data.pairs(map) do items[#items + 1] = value end
  return values.list(items)
end)

signature.define(maps, "get", "key default?", function(map, key, default)
  local value = key ~= null and map[key]
  if key == null or value == nil then return values.or_null(default) end
  return value
end)

signature.define(maps, "copy", "", function(map)
  local copy = values.map()
  for key, value in data.pairs(map) do copy[key] = value end
  return copy
end)

define_changing(maps, "update", "**", function(map, named, other)
  for key, value in data.pairs(other or {}) do map[key] = value end
  for key, value in values.each_named(named) do map[key] = value end
end)

define_changing(maps, "setdefault", "key default?", function(map, key, default)
  if map[key] == nil then map[key] = values.or_null(default) end
  return map[key]
end)

define_changing(maps, "pop", "key default?", function(map, key, default)
  local value = map[key]
  if value == nil then
    if default == nil then fail("the map has no key " .. tostring(key)) end
    return default
  end
  map[key] = nil
  return value
end)

define_changing(maps, "clear", "", function(map)
  for _, key in ipairs(data.keys(map)) do map[key] = nil end
end)

local REGISTRIES = { string = strings, map = maps }

local function registry_of(object)
  local kind = kind_of(object)
  if kind == "list" then return values.is_tuple(object) and tuples or lists end
  return REGISTRIES[kind]
end

local METHOD = values.class {
  name = "builtin_function_or_method",
  call = function(method, _, named, ...)
    return signature.apply(method[2], method[1], named, ...)
  end,
}

--- Find a method of an object.
-- @return the entry of its registry, or nil
function M.find(object, name)
  local registry = registry_of(object)
  return registry and registry[name]
end

--- Give a method as a value that can be called later, or nil.
function M.bound(object, name)
  local entry = M.find(object, name)
  return entry and setmetatable({ object, entry }, METHOD)
end

--- Say whether maps have a method of this name: `map.name` is then the method,
-- also when the map has such a key.
function M.of_maps(name)
  return maps[name] ~= nil
end

return M
