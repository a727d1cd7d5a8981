--- etcd as a service of systemd, one member a host, with TLS between all.

local config = require "modules.etcd.config"
local kb = require "kb"
local cluster_pki = require "kb.pki.kubeadm"
local files = require "modules.files"
local pki = require "modules.pki"
local systemd = require "modules.systemd"

local M = {}

local function member_of(c, name)
  for _, member in ipairs(c.members) do
    if member.name == name then
      return member
    end
  end
end

--- Make a host a member of the cluster's etcd: certificates, settings, service.
-- All members are started side by side: the service is ready only when a quorum is.
-- @param host host
-- @param c table: the cluster's settings
function M.member(host, c)
  local watch = { "/etc/default/etcd" }
  files.directory(host, { "/etc/etcd/pki", owner = "etcd", group = "etcd", mode = "0700" })
  for _, file in ipairs(cluster_pki.member_files(host.name)) do
    files.file(host, { file.to, content = pki.text(c.store, file.name, file.suffix),
      owner = "etcd", group = "etcd", mode = file.mode })
    watch[#watch + 1] = file.to
  end
  files.file(host, { "/etc/default/etcd",
    content = config.environment(c, member_of(c, host.name)) })
  systemd.unit(host, { "etcd", state = "running", enabled = true, watch = watch })
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
    evidence = { "systemctl --no-pager status etcd | head -20",
      "journalctl -u etcd -n 30 --no-pager", "ss -ltnp 'sport = :2379 or sport = :2380'" } })
end

return M
