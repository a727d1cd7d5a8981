-- Hosts and groups while sources are read, and the rules that hold once all of
-- them are: everything is in `all`, a host without a group is in `ungrouped`.
--
-- A definition is `{ key =, value =, file =, line =, column = }`; each host and
-- group has a list of them in the order in which they were read.
local M = {}

local Tree = {}
Tree.__index = Tree

--- Give up on the inventory; `inventory.load` returns the message.
-- @param origin table or nil: file, line, column
-- @param format string: as of string.format
-- @param ... any: its values
function M.fail(origin, format, ...)
  error({ inventory = M.at(origin) .. format:format(...) }, 0)
end

--- The words that say where something is written: "file:line:column: ".
-- @param origin table or nil
-- @return string
function M.at(origin)
  if not origin or not origin.file then return "" end
  if not origin.line then return origin.file .. ": " end
  return ("%s:%d:%d: "):format(origin.file, origin.line, origin.column)
end

--- Make an empty tree.
-- @param warn function: called with `{ file, line, column, message }`
function M.new(warn)
  local self = setmetatable({ groups = {}, hosts = {}, group_list = {}, host_list = {},
    warn = warn }, Tree)
  self:add_group("all", {})
  self:add_group("ungrouped", {})
  self:add_child(self.groups.all, self.groups.ungrouped, {})
  return self
end

function Tree:complain(origin, format, ...)
  self.warn { file = origin.file, line = origin.line, column = origin.column,
    message = format:format(...) }
end

local function check_name(what, name, origin)
  if type(name) ~= "string" then
    M.fail(origin, "the name of a %s must be text, here is the %s %s; quote it", what,
      type(name) == "table" and "null" or type(name), tostring(name))
  elseif name == "" or name:find "[%s%c]" then
    M.fail(origin, "%q cannot be the name of a %s", name, what)
  end
end

--- The group of that name, made when it is new.
function Tree:add_group(name, origin)
  check_name("group", name, origin)
  if not self.groups[name] then
    local group = { name = name, hosts = {}, children = {}, parents = {}, definitions = {},
      priority = 1, depth = 0, origin = origin, is_group = true }
    self.groups[name] = group
    self.group_list[#self.group_list + 1] = group
  end
  return self.groups[name]
end

local function holds(list, item)
  for _, other in ipairs(list) do
    if other == item then return true end
  end
  return false
end

local function is_above(group, other)
  if group == other then return true end
  for _, parent in ipairs(other.parents) do
    if is_above(group, parent) then return true end
  end
  return false
end

--- Make a group part of another.
function Tree:add_child(parent, child, origin)
  if is_above(child, parent) then
    M.fail(origin, "the group %s cannot be a child of %s, which is in it", child.name, parent.name)
  end
  if not holds(parent.children, child) then
    table.insert(parent.children, child)
    table.insert(child.parents, parent)
  end
end

--- The host of that name, made when it is new, as a member of the group.
function Tree:add_host(name, group, port, origin)
  check_name("host", name, origin)
  local host = self.hosts[name]
  if not host then
    host = { name = name, groups = {}, definitions = {}, origin = origin }
    self.hosts[name] = host
    self.host_list[#self.host_list + 1] = host
    if port then self:define(host, "ansible_port", port, origin) end
  end
  if not group.hosts[host] then
    group.hosts[host] = true
    table.insert(group.hosts, host)
    table.insert(host.groups, group)
  end
  return host
end

local function set_priority(group, value, origin)
  local priority = math.tointeger(tonumber(value))
  if not priority then
    M.fail(origin, "ansible_group_priority must be a whole number, here is %q", tostring(value))
  end
  group.priority = priority
end

--- Set a variable of a host or group.
function Tree:define(owner, key, value, origin)
  if type(key) ~= "string" then
    M.fail(origin, "the name of a variable must be text, here is the %s %s; quote it", type(key),
      tostring(key))
  elseif owner.is_group and key == "ansible_group_priority" then
    return set_priority(owner, value, origin)
  end
  table.insert(owner.definitions, { key = key, value = value, file = origin.file,
    line = origin.line, column = origin.column })
end

local function collect_groups(host)
  local found = {}
  local function visit(group)
    if found[group] then return end
    found[group] = true
    for _, parent in ipairs(group.parents) do visit(parent) end
  end
  for _, group in ipairs(host.groups) do visit(group) end
  return found
end

local function less_specific(a, b)
  if a.depth ~= b.depth then return a.depth < b.depth end
  if a.priority ~= b.priority then return a.priority < b.priority end
  return a.name < b.name
end

local function leave(group, host)
  group.hosts[host] = nil
  for _, pair in ipairs { { group.hosts, host }, { host.groups, group } } do
    for i, item in ipairs(pair[1]) do
      if item == pair[2] then
        table.remove(pair[1], i)
        break
      end
    end
  end
end

function Tree:sort_out_ungrouped(host)
  local ungrouped, others = self.groups.ungrouped, 0
  for _, group in ipairs(host.groups) do
    if group ~= self.groups.all and group ~= ungrouped then others = others + 1 end
  end
  if others > 0 and ungrouped.hosts[host] then
    leave(ungrouped, host)
  elseif others == 0 then
    self:add_host(host.name, ungrouped, nil, host.origin)
  end
end

local function depth_of(group, known)
  if not known[group] then
    local depth = 0
    for _, parent in ipairs(group.parents) do
      depth = math.max(depth, depth_of(parent, known) + 1)
    end
    known[group] = depth
  end
  return known[group]
end

--- Hold the rules, once every source was read.
function Tree:finish()
  local all, known = self.groups.all, {}
  for _, group in ipairs(self.group_list) do
    if group ~= all and #group.parents == 0 then self:add_child(all, group, group.origin) end
  end
  for _, group in ipairs(self.group_list) do group.depth = depth_of(group, known) end
  for _, host in ipairs(self.host_list) do
    self:sort_out_ungrouped(host)
    host.lineage = {} -- every group it is in, the least specific first
    for group in pairs(collect_groups(host)) do
      if group ~= all then table.insert(host.lineage, group) end
    end
    table.sort(host.lineage, less_specific)
    if self.groups[host.name] then
      self:complain(host.origin, "%s is the name of a host and of a group", host.name)
    end
  end
end

--- The hosts of a group and of the groups in it, each once, the group's own
-- first.
-- @param group table
-- @return list of hosts
function M.members(group)
  local members, seen, queue, at = {}, { [group] = true }, { group }, 1
  while queue[at] do
    for _, host in ipairs(queue[at].hosts) do
      if not seen[host] then
        seen[host] = true
        members[#members + 1] = host
      end
    end
    for _, child in ipairs(queue[at].children) do
      if not seen[child] then
        seen[child] = true
        queue[#queue + 1] = child
      end
    end
    at = at + 1
  end
  return members
end

return M
