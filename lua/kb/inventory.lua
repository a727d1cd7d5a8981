-- Inventories: which hosts there are, in which groups, with which variables,
-- and how each is reached. Ansible's own files load unchanged.
--
-- What wins when a variable is set more than once, weakest first:
--   1. vars of the group `all` in the inventory
--   2. vars of the other groups in the inventory
--   3. group_vars/all beside the inventory, then beside the playbook
--   4. group_vars/GROUP beside the inventory, then beside the playbook
--   5. variables of the host in the inventory
--   6. host_vars/HOST beside the inventory, then beside the playbook
-- Among groups a child wins over its parents; among groups of the same depth
-- the higher ansible_group_priority (1 if not set) and then the name later in
-- the alphabet. Later sources win over earlier ones. Values are replaced whole;
-- maps are not merged.
local data = require "kb.data"
local secret = require "kb.secret"
local suggest = require "kb.suggest"
local sys = require "kb.core.sys"
local connection = require "kb.inventory.connection"
local explain = require "kb.inventory.explain"
local files = require "kb.inventory.files"
local pattern = require "kb.pattern"
local source = require "kb.inventory.source"
local tree = require "kb.inventory.tree"
local vars_of = require "kb.vars"

local M = {}

local Inventory = {}
Inventory.__index = Inventory
Inventory.__name = "kb.inventory"

-- Run a function that may fail by `tree.fail`.
local function guarded(fn, ...)
  local ok, result = pcall(fn, ...)
  if ok then return result end
  if type(result) == "table" and result.inventory then return nil, result.inventory, "EINVAL" end
  error(result, 0)
end

local function names_of(items)
  local list = data.list {}
  for i, item in ipairs(items) do list[i] = item.name end
  return list
end

local function is_directory(path)
  local found = sys.stat(path)
  return found ~= nil and found.kind == "directory"
end

-- The same directory twice would say everything twice; the last place counts.
local function without_repeats(dirs)
  local kept, seen = {}, {}
  for i = #dirs, 1, -1 do
    local real = sys.realpath(dirs[i]) or dirs[i]
    if not seen[real] then table.insert(kept, 1, dirs[i]) end
    seen[real] = true
  end
  return kept
end

local function read_sources(self, paths)
  local dirs = {}
  for _, path in ipairs(paths) do dirs[#dirs + 1] = source.read(self.tree, path) end
  dirs[#dirs + 1] = self.playbook_dir
  self.dirs = without_repeats(dirs)
  self.tree:finish()
end

-- Files are read at once, so that their errors are found before anything runs.
local function read_variables(self)
  for _, group in ipairs(self.tree.group_list) do self:beside("group_vars", group.name) end
  for _, host in ipairs(self.tree.host_list) do self:beside("host_vars", host.name) end
end

-- Where an inventory is looked for when none is named.
local usual = { "inventory.yaml", "inventory.yml", "inventory.lua", "inventory.ini", "inventory" }

--- The inventories that count: those named, or $KBRUN_INVENTORY, or the one in
-- this directory (inventory.yaml, .yml, .lua, .ini, or a directory `inventory`).
-- @param named list of strings or nil
-- @return list of strings; or nil and a message when there is none
function M.sources(named)
  if named and #named > 0 then return named end
  local chosen = sys.getenv "KBRUN_INVENTORY"
  if chosen and chosen ~= "" then return { chosen } end
  for _, path in ipairs(usual) do
    if sys.stat(path) then return { path } end
  end
  return nil, "there is no inventory: name one with -i FILE, or in KBRUN_INVENTORY, or make "
    .. "inventory.yaml here"
end

--- Load an inventory.
-- @param paths list of strings: files (YAML, INI, Lua), directories, or names as
--   `host1,host2,`; later ones add to and win over earlier ones
-- @param options table or nil: `playbook_dir` (its group_vars/ and host_vars/
--   count too), `render` (function(text, host) -> value, or nil and a message:
--   renders templates in connection variables, instead of kb.vars over the host's
--   own variables)
-- @return inventory; or nil, message, "EINVAL"
function M.load(paths, options)
  options = options or {}
  local self = setmetatable({ _warnings = {}, _files = {}, _vars = {}, _winners = {},
    _ordinary = {}, _render = options.render, playbook_dir = options.playbook_dir }, Inventory)
  local function warn(warning) table.insert(self._warnings, warning) end
  self._warn = warn
  self.tree = tree.new(warn)
  local _, message, code = guarded(read_sources, self, paths)
  if message then return nil, message, code end
  _, message, code = guarded(read_variables, self)
  if message then return nil, message, code end
  return self
end

-- The definitions in files beside the inventory and then the playbook, a list
-- per directory.
function Inventory:beside(kind, name)
  local key = kind .. "/" .. name
  if self._files[key] then return self._files[key] end
  local layers = {}
  for i, dir in ipairs(self.dirs) do
    local definitions = {}
    if name:sub(1, 1) ~= "/" and is_directory(dir .. "/" .. kind) then
      for _, path in ipairs(files.find(dir .. "/" .. kind, name, self._warn)) do
        files.definitions(path, self._warn, definitions)
      end
    end
    layers[i] = definitions
  end
  self._files[key] = layers
  return layers
end

-- Files of the groups, directory by directory: within one, less specific groups
-- come first.
function Inventory:group_files(into, groups)
  for i = 1, #self.dirs do
    for _, group in ipairs(groups) do
      into[#into + 1] = { owner = "group " .. group.name, level = "group_vars",
        definitions = self:beside("group_vars", group.name)[i] }
    end
  end
end

-- Everything that sets variables of a host, the weakest first.
function Inventory:layers(host)
  local all, layers = self.tree.groups.all, {}
  local function inventory_layer(kind, item)
    layers[#layers + 1] = { owner = kind .. " " .. item.name, level = "inventory",
      definitions = item.definitions }
  end
  inventory_layer("group", all)
  for _, group in ipairs(host.lineage) do inventory_layer("group", group) end
  self:group_files(layers, { all })
  self:group_files(layers, host.lineage)
  inventory_layer("host", host)
  for _, definitions in ipairs(self:beside("host_vars", host.name)) do
    layers[#layers + 1] = { owner = "host " .. host.name, level = "host_vars",
      definitions = definitions }
  end
  return layers
end

function Inventory:host(name)
  local host = self.tree.hosts[name]
  if host then return host end
  if name == "localhost" then return self:implicit_localhost() end
  error(("there is no host %s in the inventory%s"):format(tostring(name),
    suggest.hint(tostring(name), names_of(self.tree.host_list))), 3)
end

-- As in Ansible, `localhost` is there without being written down.
function Inventory:implicit_localhost()
  if not self._localhost then
    local definitions = { { key = "ansible_connection", value = "local",
      file = "localhost, which needs no inventory" } }
    self._localhost = { name = "localhost", groups = {}, lineage = {}, definitions = definitions }
  end
  return self._localhost
end

--- The names of all hosts, in the inventory's order.
-- @return list of strings
function Inventory:hosts()
  return names_of(tree.members(self.tree.groups.all))
end

--- The names of all hosts, in the order in which the files name them first.
-- @return list of strings
function Inventory:hosts_as_read()
  return names_of(self.tree.host_list)
end

--- Whether a host of that name is in the inventory.
-- @param name string
-- @return boolean
function Inventory:has(name)
  return self.tree.hosts[name] ~= nil
end

--- The names of all groups.
-- @return list of strings
function Inventory:group_names()
  return names_of(self.tree.group_list)
end

--- The hosts of a group and of the groups in it.
-- @param group string
-- @return list of strings, or nil when there is no such group
function Inventory:members(group)
  local found = self.tree.groups[group]
  return found and names_of(tree.members(found))
end

--- The groups a host is in, but for `all`, by name.
-- @param name string: a host
-- @return list of strings
function Inventory:groups(name)
  local groups = names_of(self:host(name).lineage)
  table.sort(groups)
  return groups
end

--- The hosts that a pattern names, in the order of the pattern.
-- @param text string: see kb.pattern
-- @return list of strings; or nil and a message
function Inventory:match(text)
  return pattern.match(text, self)
end

--- The variables of a host, merged; templates in them are as written.
-- The map is shared and must not be changed.
-- @param name string: a host
-- @return map
function Inventory:vars(name)
  local host = self:host(name)
  if self._vars[host] then return self._vars[host] end
  local vars, winners = data.map(), {}
  for _, layer in ipairs(self:layers(host)) do
    for _, definition in ipairs(layer.definitions) do
      vars[definition.key] = definition.value
      winners[definition.key] = definition
    end
  end
  self._vars[host], self._winners[host] = vars, winners
  return vars
end

--- Where the value of a host's variable comes from.
-- @param variable string
-- @param name string: a host
-- @return table: key, value, file, line, column (nil where not known); or nil
function Inventory:definition(variable, name)
  self:vars(name)
  return self._winners[self:host(name)][variable]
end

--- What Ansible calls magic variables: inventory_hostname, inventory_hostname_short,
-- group_names, groups.
-- @param name string: a host
-- @return map
function Inventory:magic(name)
  if not self._groups then
    self._groups = data.map()
    for _, group in ipairs(self.tree.group_list) do
      self._groups[group.name] = names_of(tree.members(group))
    end
  end
  return data.map {
    { "inventory_hostname", name }, { "inventory_hostname_short", name:match "^[^.]+" or name },
    { "group_names", self:groups(name) }, { "groups", self._groups },
  }
end

--- Render a template over the variables of a host.
-- @param value any: also maps and lists with templates in them
-- @param name string: a host
-- @return any; or nil and a message
function Inventory:render(value, name)
  if self._render then return self._render(value, name) end
  local raw = {}
  for _, layer in ipairs { self:magic(name), self:vars(name) } do
    for key, item in data.pairs(layer) do raw[key] = item end
  end
  local view = vars_of.view(raw, function(variable, problem)
    error({ refused = ("%s: %s"):format(variable, tostring(problem)) }, 0)
  end)
  local ok, result, problem = pcall(vars_of.render, value, view, "template")
  if ok then return result, problem and tostring(problem) end
  if type(result) == "table" and result.refused then return nil, result.refused end
  error(result, 0)
end

--- How to reach a host: what kb.remote.open takes.
-- Jumps that name hosts of the inventory are reached as those are. Passwords are
-- secrets.
-- @param name string: a host
-- @return table; or nil, message, "EINVAL"
function Inventory:connection(name)
  self:host(name)
  return guarded(connection.settings, self, name)
end

-- Warn once that a word of ours is an ordinary variable of an Ansible inventory.
function Inventory:ordinary(variable, name, because)
  if self._ordinary[variable] then return end
  self._ordinary[variable] = true
  local definition = self:definition(variable, name)
  self._warn { file = definition.file, line = definition.line, column = definition.column,
    kind = "name", message = ("%s is an ordinary variable of %s and does not say how to "
    .. "connect, because %s does; use Ansible's names for all of it or for none")
      :format(variable, name, because) }
end

--- What was odd in the inventory.
-- @return list of `{ file, line, column, message, kind }`
function Inventory:warnings()
  return self._warnings
end

--- Every definition of a variable, the weakest first.
-- @param variable string
-- @param name string or nil: a host; nil asks for the whole inventory
-- @return list of tables: owner ("group masters"), level ("inventory",
--   "group_vars", "host_vars"), value, file, line, column, and hosts: the names
--   of those for which it wins
function Inventory:explain(variable, name)
  return explain.definitions(self, variable, name and self:host(name))
end

--- Every name that is a variable of some host or group: for "did you mean".
-- @return list of strings, sorted
function Inventory:variable_names()
  local seen, list = {}, {}
  for _, host in ipairs(self.tree.host_list) do
    for key in pairs(self:vars(host.name)) do
      if not seen[key] then list[#list + 1] = key end
      seen[key] = true
    end
  end
  table.sort(list)
  return list
end

--- A value of a variable as it may be shown: passwords are secrets.
-- @param variable string
-- @param value any
-- @return any
function M.shown(variable, value)
  local hidden = secret.is(value) or connection.secrets[variable] and type(value) == "string"
  return hidden and "***" or value
end

return M
