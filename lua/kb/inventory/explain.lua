-- Where a variable is defined, and for which hosts each definition wins.
local data = require "kb.data"
local tree = require "kb.inventory.tree"

local M = {}

-- The kinds of definitions from the weakest on, as at the top of this file.
local function rank(entry)
  if entry.owner:find "^host " then return entry.level == "host_vars" and 6 or 5 end
  local base = entry.level == "group_vars" and 3 or 1
  return entry.owner == "group all" and base or base + 1
end

-- The definitions of a variable that count for a host, the winner last.
local function definitions_for(self, variable, host)
  local found = {}
  for _, layer in ipairs(self:layers(host)) do
    for _, definition in ipairs(layer.definitions) do
      if definition.key == variable then
        found[#found + 1] = { owner = layer.owner, level = layer.level, value = definition.value,
          file = definition.file, line = definition.line, column = definition.column,
          definition = definition }
      end
    end
  end
  return found
end

-- Definitions of groups that no host is in.
local function unused_definitions(self, variable, seen)
  local found = {}
  for _, group in ipairs(self.tree.group_list) do
    local layers = { { owner = "group " .. group.name, level = "inventory",
      definitions = group.definitions } }
    self:group_files(layers, { group })
    for _, layer in ipairs(layers) do
      for _, definition in ipairs(layer.definitions) do
        if definition.key == variable and not seen[definition] then
          found[#found + 1] = { owner = layer.owner, level = layer.level, value = definition.value,
            file = definition.file, line = definition.line, column = definition.column, hosts = {} }
        end
      end
    end
  end
  return found
end

--- Every definition of a variable; see kb.inventory.
-- @param self table: an inventory
-- @param variable string
-- @param one table or nil: a host of its tree; nil asks for all
-- @return list of tables
function M.definitions(self, variable, one)
  local list, seen = {}, {}
  local hosts = one and { one } or tree.members(self.tree.groups.all)
  for _, host in ipairs(hosts) do
    local found = definitions_for(self, variable, host)
    for i, item in ipairs(found) do
      local entry = seen[item.definition]
      if not entry then
        entry = item
        seen[item.definition], entry.hosts = entry, data.list {}
        list[#list + 1] = entry
      end
      if i == #found then table.insert(entry.hosts, host.name) end
    end
  end
  if one then return list end
  local all = unused_definitions(self, variable, seen)
  table.move(list, 1, #list, #all + 1, all)
  for i, entry in ipairs(all) do entry.place = rank(entry) * 1000000 + i end
  table.sort(all, function(a, b) return a.place < b.place end)
  return all
end

return M
