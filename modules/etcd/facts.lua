--- Facts about an etcd member.
local config = require "modules.etcd.config"
local kb = require "kb"

local M = {}

local etcdctl = config.etcdctl

--- The member's view of itself and its cluster.
-- @return table: healthy (boolean: it commits writes), members (list of names, sorted), leader
-- (boolean: there is one); false when etcd does not answer
M.status = kb.fact {
  name = "etcd.status",
  command = function()
    return etcdctl "member list 2>/dev/null && { " .. etcdctl "endpoint health 2>&1; "
      .. etcdctl "endpoint status -w fields 2>/dev/null; }"
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

--- The version of the etcd that is installed.
-- @return string "3.4.23"; false when there is none
M.version = kb.fact {
  name = "etcd.version",
  command = function()
    return "etcd --version 2>/dev/null"
  end,
  parse = function(out)
    return out:match("etcd Version: (%d+%.%d+%.%d+)") or false
  end,
  bare = false,
}

--- The members of the cluster as this one knows them, each asked whether it is healthy.
-- @return table: name -> { id (as etcd prints it), started, learner, healthy (booleans) }; a member
-- that has never started is named by its id; false when etcd does not answer
M.members = kb.fact {
  name = "etcd.members",
  costly = true, -- a member that is away is waited for
  command = function()
    return etcdctl "member list 2>/dev/null && " .. etcdctl "endpoint health --cluster 2>&1"
  end,
  parse = function(out)
    local members, healthy, any = {}, {}, false
    for url in out:gmatch("(https://%S+) is healthy") do
      healthy[url] = true
    end
    for line in out:gmatch("[^\n]+") do
      local id, state, name, client, learner =
        line:match("^(%x+), (%a+), ([^,]*), [^,]*, ([^,]*),? ?(%a*)$")
      if id then
        any = true
        members[name ~= "" and name or id] = { id = id, started = state == "started",
          learner = learner == "true", healthy = healthy[client] == true }
      end
    end
    return any and members
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
