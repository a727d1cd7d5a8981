-- Jinja's filters on lists: they give lists where Jinja gives generators.
local access = require "kb.template.access"
local arguments = require "kb.template.arguments"
local data = require "kb.data"
local operators = require "kb.template.operators"
local signature = require "kb.template.signature"
local sorting = require "kb.template.sorting"
local text = require "kb.template.text"
local values = require "kb.template.values"

local M = {}

local concat, type = table.concat, type
local fail, given = values.fail, arguments.given
local truth = operators.truth

local function define(names, parameters, call)
  signature.define(M, names, parameters, call)
end

local function set(option)
  return option ~= nil and truth(option)
end

define("list", "", function(value) return values.list((arguments.items(value))) end)

define("first", "", function(value)
  local items, count = access.items(value)
  if count == 0 then return values.undefined(nil, "No first item, sequence was empty.") end
  return items[1]
end)

define("last", "", function(value)
  local items, count = access.items(value)
  if count == 0 then return values.undefined(nil, "No last item, sequence was empty.") end
  return items[count]
end)

local function are_strings(items, count)
  for i = 1, count do
    if type(items[i]) ~= "string" then return false end
  end
  return true
end

define("join", "d? attribute?", function(value, separator, attribute)
  local items, count = access.items(value)
  local read = attribute ~= nil and arguments.getter(attribute)
  if not read and are_strings(items, count) then
    local between = type(separator) == "string" and separator or separator and text.str(separator)
    return concat(items, between or "", 1, count)
  end
  local parts = {}
  for i = 1, count do
    local part = items[i]
    if read then part = read(part) end
    parts[i] = type(part) == "string" and part or text.str(part)
  end
  return table.concat(parts, separator and text.str(separator) or "")
end)

define("reverse", "", function(value)
  local items, count = access.items(value)
  local turned = {}
  for i = count, 1, -1 do turned[#turned + 1] = items[i] end
  if type(value) == "string" then return table.concat(turned) end
  return values.list(turned)
end)

local function finish(case_sensitive)
  if not set(case_sensitive) then return arguments.fold_case end
end

-- Attributes to sort by may be several, separated by commas.
local function sort_key(attribute, case_sensitive)
  local fold = finish(case_sensitive)
  if type(attribute) ~= "string" or not attribute:find(",") then
    return arguments.getter(attribute, nil, fold)
  end
  local getters = {}
  for part in attribute:gmatch("[^,]+") do
    getters[#getters + 1] = arguments.getter(part, nil, fold)
  end
  return function(item)
    local key = values.list()
    for i, read in ipairs(getters) do key[i] = read(item) end
    return key
  end
end

define("sort", "reverse? case_sensitive? attribute?",
  function(value, reverse, case_sensitive, attribute)
    local items = access.items(value)
    return values.list(
      sorting.sorted(items, sort_key(given(attribute), case_sensitive), set(reverse)))
  end)

define("dictsort", "case_sensitive? by? reverse?", function(value, case_sensitive, by, reverse)
  by = by or "key"
  if by ~= "key" and by ~= "value" then fail("'dictsort' goes by 'key' or 'value'") end
  local pairs_of_map = {}
  for key, item in data.pairs(arguments.map(value)) do
    pairs_of_map[#pairs_of_map + 1] = values.tuple { key, item }
  end
  local fold = finish(case_sensitive)
  return values.list(sorting.sorted(pairs_of_map, function(pair)
    local key = pair[by == "key" and 1 or 2]
    return fold and fold(key) or not fold and key
  end, set(reverse)))
end)

--- Collect items by equal keys; scalars are found by hash, others by comparison.
local function finder()
  local scalars, others = {}, {}
  return function(key, group)
    if type(key) ~= "table" then
      key = operators.number_of(key) or key
      local found = scalars[key]
      if not found then scalars[key] = group end
      return found
    end
    for _, other in ipairs(others) do
      if operators.equal(other.key, key) then return other.group end
    end
    others[#others + 1] = { key = key, group = group }
  end
end

define("unique", "case_sensitive? attribute?", function(value, case_sensitive, attribute)
  local items, count = access.items(value)
  local read = arguments.getter(attribute, nil, finish(case_sensitive))
  local seen, kept = finder(), values.list()
  for i = 1, count do
    if not seen(read(items[i]), true) then kept[#kept + 1] = items[i] end
  end
  return kept
end)

local GROUP = { kb_kind = "list", made_here = true, tuple = true, __index = function(group, key)
  if key == "grouper" then return rawget(group, 1) end
  if key == "list" then return rawget(group, 2) end
end }

define("groupby", "attribute default? case_sensitive?",
  function(value, attribute, default, case_sensitive)
    local items = access.items(value)
    local key_of = arguments.getter(attribute, default, finish(case_sensitive))
    local name_of = arguments.getter(attribute, default)
    local groups, last_key = values.list(), nil
    for _, item in ipairs(sorting.sorted(items, key_of)) do
      local key = key_of(item)
      if #groups == 0 or not operators.equal(key, last_key) then
        groups[#groups + 1] = setmetatable({ name_of(item), values.list() }, GROUP)
      end
      last_key = key
      table.insert(groups[#groups][2], item)
    end
    return groups
  end)

local function extreme(name, better, missing)
  define(name, "case_sensitive? attribute?", function(value, case_sensitive, attribute)
    local items, count = access.items(value)
    if count == 0 then return values.undefined(nil, missing) end
    local read = arguments.getter(attribute, nil, finish(case_sensitive))
    local best = items[1]
    for i = 2, count do
      if better(read(items[i]), read(best)) then best = items[i] end
    end
    return best
  end)
end
extreme("min", operators.less, "No aggregated item, sequence was empty.")
extreme("max", operators.greater, "No aggregated item, sequence was empty.")

define("sum", "attribute? start?", function(value, attribute, start)
  local items, count = access.items(value)
  local read = arguments.getter(attribute)
  local total = start or 0
  if type(total) == "string" then fail("'sum' does not join strings, use 'join'") end
  for i = 1, count do total = operators.add(total, read(items[i])) end
  return total
end)

define("batch", "linecount fill_with?", function(value, size, fill)
  arguments.integer(size, "the size of a batch")
  local items, count = access.items(value)
  local batches = values.list()
  for from = 1, count, math.max(size, 1) do
    batches[#batches + 1] = values.list(
      table.move(items, from, math.min(from + size - 1, count), 1, {}))
  end
  local last = batches[#batches]
  if last and given(fill) ~= nil then
    while #last < size do last[#last + 1] = fill end
  end
  return batches
end)

define("slice", "slices fill_with?", function(value, slices, fill)
  local items, count = access.items(value)
  if arguments.integer(slices, "the number of slices") < 1 then fail("division by zero") end
  local size, longer = count // slices, count % slices
  local result, from = values.list(), 1
  for number = 1, slices do
    local length = size + (number <= longer and 1 or 0)
    local part = values.list(table.move(items, from, from + length - 1, 1, {}))
    if given(fill) ~= nil and number > longer then part[#part + 1] = fill end
    result[number] = part
    from = from + length
  end
  return result
end)

-- Filters and tests that a filter names are looked up when it is used.
local function named_entry(registry_of, name, what)
  arguments.string(name, "the name of a " .. what)
  local entry = require(registry_of).registry[(name:gsub("^ansible%.builtin%.", ""))]
  return entry or fail(("no %s named '%s'"):format(what, name))
end

-- Like Jinja's generators, these take what is false for an empty list.
local function items_if_any(value)
  if not truth(value) then return {}, 0 end
  return access.items(value)
end

define("map", "**", function(value, named, name, ...)
  local items, count = items_if_any(value)
  local mapped = values.list()
  if name == nil then
    local attribute = named and named.attribute
    if attribute == nil then fail("'map' needs a filter or an attribute") end
    local read = arguments.getter(attribute, named.default)
    for i = 1, count do mapped[i] = read(items[i]) end
    return mapped
  end
  local entry = named_entry("kb.template.filters", name, "filter")
  for i = 1, count do
    mapped[i] = values.or_null(signature.apply(entry, items[i], named, ...))
  end
  return mapped
end)

-- What to ask of each value: a test by name, or whether it is true.
local function predicate(named, name, ...)
  if name == nil then return truth end
  local entry = named_entry("kb.template.tests", name, "test")
  local rest = table.pack(...)
  return function(value)
    return truth(signature.apply(entry, value, named, table.unpack(rest, 1, rest.n)))
  end
end

local function keep(value, read, wanted, asked)
  local items, count = items_if_any(value)
  local kept = values.list()
  for i = 1, count do
    if asked(read(items[i])) == wanted then kept[#kept + 1] = items[i] end
  end
  return kept
end

local function itself(item) return item end

local function define_selection(name, wanted)
  define(name, "**", function(value, named, ...)
    return keep(value, itself, wanted, predicate(named, ...))
  end)
  define(name .. "attr", "**", function(value, named, attribute, ...)
    if attribute == nil then fail(("'%sattr' needs an attribute"):format(name)) end
    return keep(value, arguments.getter(attribute), wanted, predicate(named, ...))
  end)
end
define_selection("select", true)
define_selection("reject", false)

return M
