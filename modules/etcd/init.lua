--- etcd as a service of systemd, one member a host, with TLS between all.

local kb = require "kb"
local cluster_pki = require "kb.pki.kubeadm"
local files = require "modules.files"
local pki = require "modules.pki"
local systemd = require "modules.systemd"

local M = {}

local DATA = "/var/lib/etcd/kubernetes" -- not kubeadm's own, which `kubeadm reset` empties

-- The member's settings, as variables of its environment (etcd 3.3 to 3.6 know them all).
local function environment(c, member)
  local peers = {}
  for i, other in ipairs(c.members) do
    peers[i] = ("%s=https://%s:2380"):format(other.name, other.address)
  end
  local peer, client = ("https://%s:2380"):format(member.address),
    ("https://%s:2379"):format(member.address)
  local dir = "/etc/etcd/pki/"
  local settings = {
    { "NAME", member.name }, { "DATA_DIR", DATA },
    { "LISTEN_PEER_URLS", peer }, { "INITIAL_ADVERTISE_PEER_URLS", peer },
    { "LISTEN_CLIENT_URLS", client .. ",https://127.0.0.1:2379" },
    { "ADVERTISE_CLIENT_URLS", client },
    { "INITIAL_CLUSTER", table.concat(peers, ",") }, { "INITIAL_CLUSTER_STATE", "new" },
    { "INITIAL_CLUSTER_TOKEN", c.name },
    { "CERT_FILE", dir .. "server.crt" }, { "KEY_FILE", dir .. "server.key" },
    { "TRUSTED_CA_FILE", dir .. "ca.crt" }, { "CLIENT_CERT_AUTH", "true" },
    { "PEER_CERT_FILE", dir .. "peer.crt" }, { "PEER_KEY_FILE", dir .. "peer.key" },
    { "PEER_TRUSTED_CA_FILE", dir .. "ca.crt" }, { "PEER_CLIENT_CERT_AUTH", "true" },
    { "AUTO_COMPACTION_RETENTION", "8" },
  }
  local lines = {}
  for i, setting in ipairs(settings) do
    lines[i] = ("ETCD_%s=%s"):format(setting[1], setting[2])
  end
  return table.concat(lines, "\n") .. "\n"
end

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
  files.file(host, { "/etc/default/etcd", content = environment(c, member_of(c, host.name)) })
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
