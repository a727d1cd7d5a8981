-- Ansible's filters on maps, and those that turn values into documents and back.
local access = require "kb.template.access"
local arguments = require "kb.template.arguments"
local data = require "kb.data"
local json = require "kb.template.json"
local kb_json = require "kb.json"
local operators = require "kb.template.operators"
local signature = require "kb.template.signature"
local text = require "kb.template.text"
local values = require "kb.template.values"
local yaml = require "kb.yaml"
local yaml_text = require "kb.template.yaml_text"

local M = {}

local fail, given = values.fail, arguments.given
local equal, truth = operators.equal, operators.truth
local check_defined = json.check_defined

local function define(names, parameters, call)
  signature.define(M, names, parameters, call)
end

local function without(list, others)
  local kept = {}
  for _, item in ipairs(list) do
    if not operators.contains(others, item) then kept[#kept + 1] = item end
  end
  return values.list(kept)
end

local LIST_MERGES = {
  replace = function(_, high) return high end,
  keep = function(low) return low end,
  append = operators.add,
  prepend = function(low, high) return operators.add(high, low) end,
  append_rp = function(low, high) return operators.add(without(low, high), values.list(high)) end,
  prepend_rp = function(low, high) return operators.add(values.list(high), without(low, high)) end,
}

local function copy_map(map)
  local copy = values.map()
  for key, item in data.pairs(map) do copy[key] = item end
  return copy
end

local function merge(low, high, recursive, merge_lists)
  if next(low) == nil or equal(low, high) then return copy_map(high) end
  local merged = copy_map(low)
  for key, item in data.pairs(high) do
    local present = merged[key]
    local kind = values.kind(item)
    if present == nil or values.kind(present) ~= kind then
      merged[key] = item
    elseif kind == "map" and recursive then
      merged[key] = merge(present, item, recursive, merge_lists)
    elseif kind == "list" then
      merged[key] = merge_lists(present, item)
    else
      merged[key] = item
    end
  end
  return merged
end

-- A list of maps counts as the maps in it.
local function gather_maps(...)
  local maps = {}
  for _, term in ipairs { ... } do
    check_defined(term)
    local inner = values.kind(term) == "list" and term or { term }
    for _, one in ipairs(inner) do
      if one ~= data.null then maps[#maps + 1] = arguments.map(one, "what 'combine' merges") end
    end
  end
  return maps
end

define("combine", "**", function(value, named, ...)
  local recursive, list_merge = false, "replace"
  for key, option in values.each_named(named) do
    if key == "recursive" then
      recursive = truth(option)
    elseif key == "list_merge" then
      list_merge = option
    else
      fail("'recursive' and 'list_merge' are the only valid keyword arguments")
    end
  end
  local merge_lists = LIST_MERGES[list_merge]
  if not merge_lists then
    fail("'list_merge' must be replace, keep, append, prepend, append_rp or prepend_rp")
  end
  local maps = gather_maps(value, ...)
  local result = maps[#maps] or values.map()
  for i = #maps - 1, 1, -1 do result = merge(maps[i], result, recursive, merge_lists) end
  return result
end)

define("dict2items", "key_name? value_name?", function(value, key_name, value_name)
  local items = values.list()
  for key, item in data.pairs(arguments.map(value, "what 'dict2items' takes")) do
    items[#items + 1] = values.map { { key_name or "key", key }, { value_name or "value", item } }
  end
  return items
end)

define("items2dict", "key_name? value_name?", function(value, key_name, value_name)
  key_name, value_name = key_name or "key", value_name or "value"
  local map = values.map()
  for _, item in ipairs(arguments.list(value, "what 'items2dict' takes")) do
    arguments.map(item, "an item of 'items2dict'")
    if item[key_name] == nil or item[value_name] == nil then
      fail(("'items2dict' needs the keys '%s' and '%s' in each item"):format(key_name, value_name))
    end
    map[item[key_name]] = item[value_name]
  end
  return map
end)

local function follow(value, path, element)
  for _, part in ipairs(path) do
    arguments.map(value, ("what '%s' is looked up in"):format(text.str(part)))
    value = value[part]
    if value == nil then return nil, part end
  end
  if values.kind(value) ~= "list" then
    fail(("the key '%s' should point to a list, got %s"):format(
      text.str(path[#path]), text.repr(value)), element)
  end
  return value
end

define("subelements", "subelements skip_missing?", function(value, path, skip_missing)
  local elements = value
  if values.kind(value) == "map" then
    elements = {}
    for _, element in data.pairs(value) do elements[#elements + 1] = element end
  else
    arguments.list(value, "what 'subelements' takes")
  end
  if type(path) == "string" then
    local parts = {}
    for part in (path .. "."):gmatch("([^.]*)%.") do parts[#parts + 1] = part end
    path = parts
  end
  local results = values.list()
  for _, element in ipairs(elements) do
    local found, missing = follow(element, path)
    if not found and not (skip_missing ~= nil and truth(skip_missing)) then
      fail(("could not find '%s' key in iterated item %s"):format(missing, text.repr(element)))
    end
    for _, item in ipairs(found or {}) do
      results[#results + 1] = values.tuple { element, item }
    end
  end
  return results
end)

define("extract", "container morekeys?", function(value, container, more)
  local found = access.item(container, value)
  more = given(more)
  if more == nil then return found end
  for _, key in ipairs(values.kind(more) == "list" and more or { more }) do
    found = access.item(found, key)
  end
  return found
end)

define("rekey_on_member", "key duplicates?", function(value, key, duplicates)
  duplicates = duplicates or "error"
  local rekeyed = values.map()
  for _, item in data.pairs(value) do
    local name = arguments.map(item, "an item")[key]
    if name == nil then fail(("Key %s was not found"):format(text.str(key))) end
    if rekeyed[name] ~= nil and duplicates == "error" then
      fail(("Key %s is not unique, cannot correctly turn into dict"):format(text.str(name)))
    end
    rekeyed[name] = item
  end
  return rekeyed
end)

-- Of the separators that Python lets one choose, JSON without spaces is of use.
local function is_compact(separators)
  if given(separators) == nil then return false end
  if separators[1] ~= "," or separators[2] ~= ":" then
    fail("'separators' can only be (',', ':')")
  end
  return true
end

define("to_json", "indent? sort_keys? ensure_ascii? separators?",
  function(value, indent, sort, ascii, separators)
    return json.encode(value, {
      indent = given(indent), sort = sort, ascii = ascii, compact = is_compact(separators),
    })
  end)

define("to_nice_json", "indent? sort_keys? ensure_ascii?", function(value, indent, sort, ascii)
  if sort == nil then sort = true end
  return json.encode(value, { indent = indent or 4, sort = sort, ascii = ascii })
end)

define("from_json", "", function(value)
  local result, problem = kb_json.decode(arguments.string(value), { name = "from_json" })
  if result == nil then fail(problem) end
  return result
end)

-- What YAML's dumpers are told: width, key order, and how deep flow style starts.
local function yaml_options(indent, flow, width, sort)
  return {
    indent = indent, flow = flow, width = given(width) or 80,
    sort = sort == nil or truth(sort),
  }
end

define("to_yaml", "indent? default_flow_style? width? sort_keys? allow_unicode?",
  function(value, indent, flow, width, sort)
    check_defined(value)
    if given(flow) == nil then flow = "leaves" end
    return yaml_text.dump(value, yaml_options(indent or 2, flow, width, sort))
  end)

define("to_nice_yaml", "indent? width? sort_keys? allow_unicode?",
  function(value, indent, width, sort)
    check_defined(value)
    return yaml_text.dump(value, yaml_options(indent or 4, false, width, sort))
  end)

define("from_yaml", "", function(value)
  if type(value) ~= "string" then return value end
  local result, problem = yaml.load(value, { name = "from_yaml", version = "1.1" })
  if result == nil then fail(tostring(problem)) end
  return result
end)

define("from_yaml_all", "", function(value)
  if type(value) ~= "string" then return value end
  local documents, problem = yaml.load_all(value, { name = "from_yaml_all", version = "1.1" })
  if documents == nil then fail(tostring(problem)) end
  return values.list(documents)
end)

return M
