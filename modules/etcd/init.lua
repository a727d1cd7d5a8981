--- etcd as a service of systemd, one member a host, with TLS between all.

local cluster_pki = require "kb.pki.kubeadm"
local config = require "modules.etcd.config"
local evidence = require "modules.evidence"
local own_evidence = require "modules.etcd.evidence"
local files = require "modules.files"
local kb = require "kb"
local pki = require "modules.pki"
local quorum = require "modules.etcd.quorum"
local systemd = require "modules.systemd"

local M = {}

local SETTINGS = "/etc/default/etcd"

local function member_of(c, name)
  for _, member in ipairs(c.members) do
    if member.name == name then
      return member
    end
  end
end

-- restart or stop, when a change of the unit does that to one that runs; nil when it does not.
local function interruption(change)
  local verbs = change.title:match("^(.-) etcd%.service") or ""
  return verbs:find("restart", 1, true) and "restart" or verbs:find("stop", 1, true) and "stop"
    or nil
end

-- The members as this one knows them; false also when it has never been started. What runs then is
-- a package's etcd, which waits for other words on the same port: asking it takes 10 s.
local function members_of(args, fact)
  local never = args.data and not fact("file.exists", args.data .. "/member")
  return not never and fact("etcd.members")
end

--- The service of a member. It is stopped or started again only while enough of the other members
-- are healthy to go on without it.
-- @param member string: the name that etcd knows it by; absent: the host's
-- @param state string: running or stopped
-- @param enabled boolean: whether it starts at boot
-- @param watch list: what needs a restart when it changes
-- @param first boolean: a member that answers is not started again, whatever has changed
-- @param data path: where its data are: while there are none it is not asked who is healthy
-- @param interrupt boolean: accept that the cluster may stop meanwhile
M.service = kb.op {
  name = "etcd.service",
  args = { { "member", "string", "the name that etcd knows it by", at = 1 },
    { "state", { "running", "stopped" }, "whether it runs", default = "running" },
    { "enabled", "boolean", "whether it starts at boot", default = true },
    { "watch", "list", "what needs a restart when it changes", default = {} },
    { "first", "boolean", "a member that answers is not started again", default = false },
    { "data", "path", "where its data are" },
    { "interrupt", "boolean", "accept that the cluster may stop meanwhile", default = false } },
  prepare = function(host, args)
    args.member = args.member or host.name
    return args
  end,
  plan = function(args, fact)
    local watch = args.first and members_of(args, fact) and {} or args.watch
    local change, reason = kb.plan(systemd.unit, fact, { "etcd", state = args.state,
      enabled = args.enabled, watch = watch })
    if not change then
      return nil, reason
    end
    local verb = interruption(change)
    if verb and not args.interrupt then
      quorum.guard(members_of(args, fact), args.member, verb)
    end
    return change
  end,
  evidence = function()
    return { own_evidence.peers(), own_evidence.warnings(), evidence.unit("etcd", 3),
      evidence.ports(2379, 2380) }
  end,
}

--- No member of that name in the cluster, as this member knows it; its data stay where they are.
-- Refused when those that stay would be too few.
-- @param name string: the member
M.member_absent = kb.op {
  name = "etcd.member_absent",
  args = { { "name", "string", "the member", at = 1, required = true } },
  plan = function(args, fact)
    local members = fact("etcd.members")
    if not members then
      kb.refuse("etcd does not answer here", "ask a member that runs")
    elseif not members[args.name] then
      return nil, "there is no such member"
    end
    quorum.guard_removal(members, args.name)
    local left = {}
    for name, member in pairs(members) do
      left[name] = name ~= args.name and member or nil
    end
    return { title = "remove etcd's member " .. args.name,
      actions = { { run = config.etcdctl("member remove " .. members[args.name].id),
        fails = "etcd did not remove it" } },
      effect = { { "etcd.members", left } } }
  end,
}

local function certificates(host, c)
  files.directory(host, { "/etc/etcd/pki", owner = "etcd", group = "etcd", mode = "0700" })
  for _, file in ipairs(cluster_pki.member_files(host.name)) do
    files.file(host, { file.to, content = pki.text(c.store, file.name, file.suffix),
      owner = "etcd", group = "etcd", mode = file.mode })
  end
end

local function watched(host)
  local paths = { SETTINGS }
  for _, file in ipairs(cluster_pki.member_files(host.name)) do
    paths[#paths + 1] = file.to
  end
  return paths
end

--- Evidence: what etcd's journal warns of, and whom it rejects and why, each once.
-- @param lines integer or nil: how many at most; 8 if absent
-- @return string: shell text
function M.warnings(lines)
  return own_evidence.warnings(lines)
end

--- Make a host a member of the cluster's etcd: certificates, settings, and the service.
-- Members that do not answer yet (there was none, or a package has started one with settings of its
-- own) are started side by side: a service is ready only when a quorum is. One that answers is left
-- alone here; etcd.renewed lets it take up what has changed.
-- @param host host
-- @param c table: the cluster's settings
function M.member(host, c)
  certificates(host, c)
  files.directory(host, { c.etcd.data_dir, owner = "etcd", group = "etcd", mode = "0700" })
  files.file(host, { SETTINGS, content = config.environment(c, member_of(c, host.name)) })
  M.service(host, { watch = watched(host), first = true, data = c.etcd.data_dir })
end

--- Let a member that runs take up what was changed since it was started: for one host after the
-- other, with the gate behind each that was started again.
-- @param host host
-- @param c table: the cluster's settings
function M.renewed(host, c)
  if M.service(host, { watch = watched(host) }).changed then
    M.gate(host, c)
  end
end

--- The gate: the member is healthy, knows a leader, and all members are there.
-- @param host host
-- @param c table: the cluster's settings
function M.gate(host, c)
  local names = {}
  for i, member in ipairs(c.members) do
    names[i] = member.name
  end
  table.sort(names)
  kb.gate(host, { ("etcd is healthy, with %d members and a leader"):format(#names),
    fact = { "etcd.status" }, within = 120,
    holds = function(status)
      return status and status.healthy and status.leader and #status.members == #names
    end,
    becomes = { healthy = true, leader = true, members = names },
    evidence = { evidence.etcd(c), own_evidence.peers(), own_evidence.warnings(),
      evidence.unit("etcd", 3), evidence.ports(2379, 2380),
      evidence.certificate "/etc/etcd/pki/peer.crt" } })
end

return M
