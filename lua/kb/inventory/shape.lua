-- The shape of an inventory in YAML and Lua: groups, and in each of them hosts,
-- vars and children.
local data = require "kb.data"
local suggest = require "kb.suggest"
local yaml = require "kb.yaml"
local names = require "kb.inventory.names"
local tree = require "kb.inventory.tree"

local M = {}

local SECTIONS = { "hosts", "vars", "children" }

local shape = {}
shape.__index = shape

-- Where the key of a map is written; the file alone for tables from Lua.
function shape:origin(map, key)
  local file, line, column = yaml.position(map, key)
  return { file = file or self.file, line = line, column = column }
end

local function describe(value)
  local kind = data.kind(value)
  return kind == "string" and ("%q"):format(value) or kind == "null" and "nothing"
    or kind == "map" and "a map" or kind == "list" and "a list" or tostring(value)
end

-- A section as a map: a single name stands for one without values, as in
-- Ansible, and a list of names is understood from Lua.
function shape:section(group_name, data_of_group, section)
  local value = data_of_group[section]
  local kind = data.kind(value)
  if kind == "map" then return value end
  if kind == "null" then return data.map() end
  if kind == "string" and section ~= "vars" then return data.map { { value, data.null } } end
  if kind == "list" and self.lists and section ~= "vars" then
    local map = data.map()
    for _, name in ipairs(value) do map[name] = data.null end
    return map
  end
  tree.fail(self:origin(data_of_group, section), "%s of the group %s must be a map, here is %s%s",
    section, group_name, describe(value),
    kind == "list" and section ~= "vars" and "; write each name as a key: \"name:\"" or "")
end

function shape:vars(group, map)
  for key, value in data.pairs(map) do
    self.tree:define(group, key, value, self:origin(map, key))
  end
end

function shape:children(group, map)
  for name, value in data.pairs(map) do
    local origin = self:origin(map, name)
    self.tree:add_child(group, self:group(name, value, origin), origin)
  end
end

function shape:host_vars(hosts, name, value, origin)
  local kind = data.kind(value)
  if kind == "null" or value == "" or value == false then return end
  if kind ~= "map" then
    tree.fail(origin, "the variables of the host %s must be a map, here is %s", name,
      describe(value))
  end
  for _, host in ipairs(hosts) do
    for key, item in data.pairs(value) do
      self.tree:define(host, key, item, self:origin(value, key))
    end
  end
end

function shape:hosts(group, map)
  for name, value in data.pairs(map) do
    local origin = self:origin(map, name)
    if type(name) ~= "string" then
      tree.fail(origin, "the name of a host must be text, here is %s; quote it", tostring(name))
    end
    local pattern, port = names.split_port(name)
    local expanded, problem = names.expand(pattern)
    if not expanded then tree.fail(origin, "%s", problem) end
    local hosts = {}
    for i, host in ipairs(expanded) do hosts[i] = self.tree:add_host(host, group, port, origin) end
    self:host_vars(hosts, name, value, origin)
  end
end

-- What is neither hosts nor vars nor children: a slip of one of these is an
-- error, because the whole section would be lost.
function shape:unknown_key(group_name, data_of_group, key)
  local origin = self:origin(data_of_group, key)
  local meant = type(key) == "string" and suggest.nearest(key, SECTIONS)
  if meant then
    tree.fail(origin, "a group has hosts, vars and children, but %s has %q; did you mean %q?",
      group_name, key, meant)
  end
  self.tree:complain(origin, "%s in the group %s is passed over: a group has only hosts, vars "
    .. "and children", tostring(key), group_name)
end

function shape:group(name, value, origin)
  local kind = data.kind(value)
  if kind ~= "map" and kind ~= "null" then
    tree.fail(origin, "the group %s must be a map with hosts, vars or children, here is %s",
      tostring(name), describe(value))
  end
  local group = self.tree:add_group(name, origin)
  if kind == "null" then return group end
  for key in data.pairs(value) do
    if key == "hosts" or key == "vars" or key == "children" then
      self[key](self, group, self:section(name, value, key))
    else
      self:unknown_key(name, value, key)
    end
  end
  return group
end

--- Add an inventory to a tree.
-- @param into table: of kb.inventory.tree
-- @param value any: what the file holds
-- @param file string: what errors call it
-- @param lists boolean: hosts and children may be lists of names
function M.read(into, value, file, lists)
  local self = setmetatable({ tree = into, file = file, lists = lists }, shape)
  if data.kind(value) == "null" then
    tree.fail({ file = file }, "the inventory is empty; it holds groups: all: {hosts: {...}}")
  elseif data.kind(value) ~= "map" then
    tree.fail({ file = file }, "an inventory is a map of groups, here is %s", describe(value))
  elseif value.plugin then
    tree.fail(self:origin(value, "plugin"), "this configures an inventory plugin of Ansible, which "
      .. "is not supported; give kbrun the hosts, as ansible-inventory --list --yaml prints them")
  end
  for name, group in data.pairs(value) do self:group(name, group, self:origin(value, name)) end
end

return M
