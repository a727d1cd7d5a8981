--- Facts about an etcd member.
local kb = require "kb"

local M = {}

local PKI = "/etc/etcd/pki"

-- etcdctl as a member's own client.
local function etcdctl(command)
  return ("ETCDCTL_API=3 etcdctl --endpoints=https://127.0.0.1:2379 --cacert=%s/ca.crt "
    .. "--cert=%s/healthcheck-client.crt --key=%s/healthcheck-client.key "
    .. "--command-timeout=5s --dial-timeout=3s %s"):format(PKI, PKI, PKI, command)
end

--- The member's view of itself and its cluster.
-- @return table: healthy (boolean: it commits writes), members (list of names, sorted), leader
-- (boolean: there is one); false when etcd does not answer
M.status = kb.fact {
  name = "etcd.status",
  command = function()
    return etcdctl "endpoint health 2>&1; " .. etcdctl "member list 2>/dev/null; "
      .. etcdctl "endpoint status -w fields 2>/dev/null"
  end,
  parse = function(out)
    local members = {}
    for name in out:gmatch("%x+, started, ([^,]+),") do
      members[#members + 1] = name
    end
    if #members == 0 then
      return false
    end
    table.sort(members)
    local leader = out:match('"Leader" : (%d+)')
    return { healthy = out:find("is healthy", 1, true) ~= nil, members = members,
      leader = leader ~= nil and leader ~= "0" }
  end,
  bare = false,
}

--- Whether something is stored below a prefix.
-- @param prefix string: "/registry"
-- @return boolean; false also when etcd does not answer
M.holds = kb.fact {
  name = "etcd.holds",
  command = function(prefix)
    return etcdctl("get --prefix --keys-only --limit=1 " .. kb.quote(prefix)) .. " 2>/dev/null"
  end,
  parse = function(out)
    return out:find("%S") ~= nil
  end,
  bare = false,
}

return M
