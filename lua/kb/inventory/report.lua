-- Inventories for people and programs: what `kbrun inventory` prints.
local data = require "kb.data"
local inventory = require "kb.inventory"
local tree = require "kb.inventory.tree"

local M = {}

local function shown_vars(inv, name, with_secrets)
  local vars = inv:vars(name)
  if with_secrets then return vars end
  local shown = data.map()
  for key, value in data.pairs(vars) do shown[key] = inventory.shown(key, value) end
  return shown
end

local function names_of(items)
  local list = data.list {}
  for i, item in ipairs(items) do list[i] = item.name end
  return list
end

-- A group and those below it, each once; empty ones are left out.
local function add_group(list, group, seen)
  local entry = data.map()
  if group.name ~= "all" and #group.hosts > 0 then entry.hosts = names_of(group.hosts) end
  if #group.children > 0 then entry.children = names_of(group.children) end
  for _, child in ipairs(group.children) do
    if not seen[child] then
      seen[child] = true
      add_group(list, child, seen)
    end
  end
  if data.length(entry) > 0 then list[group.name] = entry end
end

--- The whole inventory in the shape of `ansible-inventory --list`.
-- @param inv inventory
-- @param with_secrets boolean: passwords as they are, not as ***
-- @return map: groups, and `_meta.hostvars` with the merged variables
function M.list(inv, with_secrets)
  local list, hostvars = data.map(), data.map()
  add_group(list, inv.tree.groups.all, {})
  for _, name in ipairs(inv:hosts()) do
    local vars = shown_vars(inv, name, with_secrets)
    if data.length(vars) > 0 then hostvars[name] = vars end
  end
  list._meta = data.map { { "hostvars", hostvars } }
  return list
end

--- The variables of one host, merged.
-- @param inv inventory
-- @param name string: a host
-- @param with_secrets boolean
-- @return map
function M.host(inv, name, with_secrets)
  return shown_vars(inv, name, with_secrets)
end

local function graph(lines, group, depth)
  local function add(text, level)
    lines[#lines + 1] = (level > 0 and ("  |"):rep(level) .. "--" or "") .. text
  end
  add("@" .. group.name .. ":", depth)
  for _, child in ipairs(group.children) do graph(lines, child, depth + 1) end
  if group.name ~= "all" then
    for _, host in ipairs(group.hosts) do add(host.name, depth + 1) end
  end
end

--- Groups and hosts as a tree of text, as `ansible-inventory --graph` draws it.
-- @param inv inventory
-- @param name string or nil: a group to begin with ("all")
-- @return string, or nil when there is no such group
function M.graph(inv, name)
  local group = inv.tree.groups[name or "all"]
  if not group then return nil end
  local lines = {}
  graph(lines, group, 0)
  return table.concat(lines, "\n")
end

--- A warning as a line of text.
-- @param warning table: of `inv:warnings()`
-- @return string
function M.warning(warning)
  return "warning: " .. tree.at(warning) .. warning.message
end

return M
