--- The ways between hosts that a cluster needs: who connects to which port of whom.
-- A way is a finding of the host it leads to; those to what is there for all (the API's endpoint,
-- the masters) are findings of a worker. So a worker that cannot be reached is its own trouble.

local M = {}

local function way(list, from, target, why)
  list[#list + 1] = { from = from, target = target, why = why }
end

local function to_master(node, c, bastion, list)
  for _, name in ipairs(bastion) do
    way(list, name, node.address .. ":6443", "the load balancer asks the API server")
  end
  for _, other in ipairs(c.masters) do
    if other.name ~= node.name then
      way(list, other.name, node.address .. ":2379", "API servers ask etcd")
      way(list, other.name, node.address .. ":2380", "etcd's members talk")
    end
  end
end

--- The ways that are checked with a host.
-- @param node table: name, address, roles
-- @param c table: the cluster's settings
-- @param bastion list of strings: names of the hosts that balance the API
-- @param endpoint string: address (or a name that is known to all) and port
-- @return list of { from (name), target ("10.0.0.1:6443"), why }
function M.of(node, c, bastion, endpoint)
  local list = {}
  if node.roles.masters then
    to_master(node, c, bastion, list)
  end
  if node.roles.masters or node.roles.workers then
    way(list, node.name, endpoint, "nodes ask the API")
    for _, master in ipairs(c.masters) do
      if master.name ~= node.name then
        way(list, master.name, node.address .. ":10250", "API servers ask kubelets")
        if node.roles.workers then
          way(list, node.name, master.address .. ":6443", "pods ask the service kubernetes")
        end
      end
    end
  end
  return list
end

--- What keeps ways from being open. That nobody listens yet is as good as an answer: the host says
-- so itself, and it can only when the way is free.
-- @param ways list, as `of` gives it
-- @param reach table: from -> target -> outcome, of fact preflight.reach; a host that could not be
-- asked is not there
-- @param found function(check, text)
function M.check(ways, reach, found)
  for _, w in ipairs(ways) do
    local outcome = (reach[w.from] or {})[w.target]
    if outcome and outcome ~= "open" and outcome ~= "closed" then
      found("ports", ("%s cannot connect to %s: %s (%s)"):format(w.from, w.target, outcome, w.why))
    end
  end
end

return M
