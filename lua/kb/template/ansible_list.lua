-- Ansible's filters on lists: sets, products, flattening.
local access = require "kb.template.access"
local arguments = require "kb.template.arguments"
local data = require "kb.data"
local lists = require "kb.template.filters_list"
local operators = require "kb.template.operators"
local signature = require "kb.template.signature"
local values = require "kb.template.values"

local M = {}

local fail, given = values.fail, arguments.given

local function define(names, parameters, call)
  signature.define(M, names, parameters, call)
end

-- Unlike Jinja's own, Ansible's `unique` minds the case unless told otherwise.
define("unique", "case_sensitive? attribute?", function(value, case_sensitive, attribute)
  return lists.unique.call(value, case_sensitive, attribute)
end)

local function unique(items)
  return lists.unique.call(values.list(items), true)
end

local function select_items(value, other, wanted)
  local items, count = access.items(value)
  local kept = {}
  for i = 1, count do
    if operators.contains(other, items[i]) == wanted then kept[#kept + 1] = items[i] end
  end
  return kept
end

local function as_list(value)
  return arguments.list(value, "a set")
end

define("intersect", "b", function(a, b)
  return unique(select_items(as_list(a), as_list(b), true))
end)
define("difference", "b", function(a, b)
  return unique(select_items(as_list(a), as_list(b), false))
end)
define("union", "b", function(a, b)
  return unique(operators.add(as_list(a), as_list(b)))
end)
define("symmetric_difference", "b", function(a, b)
  local both = select_items(as_list(a), as_list(b), true)
  return values.list(select_items(unique(operators.add(a, b)), both, false))
end)

local NULLS = { None = true, null = true, [data.null] = true }

local function flatten(list, levels, skip_nulls, flat)
  for _, element in ipairs(list) do
    if values.is_undefined(element) then values.fail_undefined(element) end
    if not (skip_nulls and NULLS[element]) then
      if values.kind(element) == "list" and (levels == nil or levels >= 1) then
        flatten(element, levels and levels - 1, skip_nulls, flat)
      else
        flat[#flat + 1] = element
      end
    end
  end
  return flat
end

define("flatten", "levels? skip_nulls?", function(value, levels, skip_nulls)
  local items, count = access.items(value)
  return flatten(table.move(items, 1, count, 1, {}), given(levels), skip_nulls ~= false,
    values.list())
end)

-- The filters below take several lists by place.
local function all_items(...)
  local lists_of_items = {}
  for i, value in ipairs { ... } do
    lists_of_items[i] = arguments.items(value)
  end
  return lists_of_items
end

local function zipped(columns, length, fill)
  local rows = values.list()
  for row = 1, length do
    local tuple = values.tuple()
    for column = 1, #columns do
      local item = columns[column][row]
      if item == nil then item = fill end
      tuple[column] = item
    end
    rows[row] = tuple
  end
  return rows
end

local function lengths(columns, choose)
  local length
  for _, column in ipairs(columns) do length = choose(length or #column, #column) end
  return length
end

define("zip", "**", function(value, _, ...)
  local columns = all_items(value, ...)
  return zipped(columns, lengths(columns, math.min))
end)

define("zip_longest", "**", function(value, named, ...)
  local columns = all_items(value, ...)
  local fill = named and named.fillvalue
  return zipped(columns, lengths(columns, math.max), values.or_null(fill))
end)

local MAX_RESULTS = 100000

local function check_count(results)
  if #results > MAX_RESULTS then fail(("more than %d combinations"):format(MAX_RESULTS)) end
end

define("product", "**", function(value, named, ...)
  local columns = all_items(value, ...)
  local once = columns
  columns = {}
  for _ = 1, named and named["repeat"] or 1 do table.move(once, 1, #once, #columns + 1, columns) end
  local rows = values.list { values.tuple() }
  for _, column in ipairs(columns) do
    local longer = values.list()
    for _, row in ipairs(rows) do
      for _, item in ipairs(column) do
        local tuple = values.tuple(table.move(row, 1, #row, 1, {}))
        tuple[#tuple + 1] = item
        longer[#longer + 1] = tuple
      end
      check_count(longer)
    end
    rows = longer
  end
  return rows
end)

-- Choose `size` of the items; `follows` says which places may come after one.
local function choose(items, size, follows)
  local results = values.list()
  local chosen = {}
  local function extend()
    check_count(results)
    if #chosen == size then
      local tuple = values.tuple()
      for i, place in ipairs(chosen) do tuple[i] = items[place] end
      results[#results + 1] = tuple
      return
    end
    for place = 1, #items do
      if follows(chosen, place) then
        chosen[#chosen + 1] = place
        extend()
        chosen[#chosen] = nil
      end
    end
  end
  extend()
  return results
end

define("permutations", "r?", function(value, size)
  local items = arguments.items(value)
  return choose(items, given(size) or #items, function(chosen, place)
    for _, taken in ipairs(chosen) do
      if taken == place then return false end
    end
    return true
  end)
end)

define("combinations", "r", function(value, size)
  return choose(arguments.items(value), size, function(chosen, place)
    return #chosen == 0 or place > chosen[#chosen]
  end)
end)

return M
