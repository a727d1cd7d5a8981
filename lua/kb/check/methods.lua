--- What a playbook may call of a host.

local host = require "kb.host"
local suggest = require "kb.suggest"

local M = {}

--- What is wrong with `host:name` or `host.name`.
-- @param name string
-- @param by_colon boolean
-- @return string, or nil when nothing is
function M.fault(name, by_colon)
  local methods = host.methods()
  if not by_colon then
    return methods[name] and ("host.%s wants a colon: host:%s(…)"):format(name, name) or nil
  elseif not methods[name] then
    local names = {}
    for known in pairs(methods) do
      names[#names + 1] = known
    end
    return ("a host has no method '%s'%s"):format(name, suggest.hint(name, names))
  end
end

return M
