--- What etcd survives: a cluster of n voting members works while n/2+1 of them are healthy.

local data = require "kb.data"
local kb = require "kb"

local M = {}

local function told(list)
  return #list == 0 and "none" or table.concat(list, ", ")
end

-- The members that vote, and those of them that are well, but for one.
local function count(members, but)
  local voters, well, ill = 0, {}, {}
  for name, member in pairs(members) do
    if not member.learner then
      voters = voters + 1
      if name ~= but then
        (member.healthy and well or ill)[name] = true
      end
    end
  end
  return voters, data.sorted_keys(well), data.sorted_keys(ill)
end

local function hint(ill)
  return #ill > 0 and ("mend first: %s"):format(told(ill)) or "add a member first"
end

--- Refuse to stop or restart a member when the others are too few to go on without it.
-- A member that is not healthy itself is no loss, and one that is alone has no others.
-- @param members table, as the fact etcd.members gives it, or false
-- @param name string: the member
-- @param verb string: "restart", "stop"
-- @raise kb.err of kind failed with the reason
function M.guard(members, name, verb)
  local own = members and members[name]
  if not own or not own.healthy or own.learner then
    return
  end
  local voters, well, ill = count(members, name)
  local needed = voters // 2 + 1
  if #well < needed and (voters > 1 or verb == "stop") then
    kb.refuse(("to %s etcd on %s would take away the quorum: %d of %d members are needed, and "
      .. "without it there would be %d healthy (%s)"):format(verb, name, needed, voters, #well,
        told(well)), hint(ill) .. "; interrupt = true accepts that the API stops meanwhile")
  end
end

--- Refuse to remove a member when those that stay are too few to go on.
-- @param members table, as the fact etcd.members gives it
-- @param name string: the member
-- @raise kb.err of kind failed with the reason
function M.guard_removal(members, name)
  if members[name].learner then
    return
  end
  local voters, well, ill = count(members, name)
  local needed = (voters - 1) // 2 + 1
  if voters == 1 then
    kb.refuse(name .. " is etcd's only member: without it the cluster's data is gone")
  elseif #well < needed then
    kb.refuse(("without %s etcd has %d members, of which %d are needed, and only %d are healthy "
      .. "(%s)"):format(name, voters - 1, needed, #well, told(well)), hint(ill))
  end
end

return M
