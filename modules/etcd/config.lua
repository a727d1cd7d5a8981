--- The settings of an etcd member, as variables of its environment: etcd 3.3 to 3.6 know them all.

local M = {}

local PKI = "/etc/etcd/pki/"

--- Shell text: etcdctl as a member's own client.
-- @param words string: what etcdctl is to do
-- @return string
function M.etcdctl(words)
  local pki = PKI:gsub("/$", "")
  return ("ETCDCTL_API=3 etcdctl --endpoints=https://127.0.0.1:2379 --cacert=%s/ca.crt "
    .. "--cert=%s/healthcheck-client.crt --key=%s/healthcheck-client.key "
    .. "--command-timeout=5s --dial-timeout=3s %s"):format(pki, pki, pki, words)
end

local function peers_of(c)
  local peers = {}
  for i, member in ipairs(c.members) do
    peers[i] = ("%s=https://%s:2380"):format(member.name, member.address)
  end
  return table.concat(peers, ",")
end

--- The text of /etc/default/etcd of a member.
-- @param c table: the cluster's settings
-- @param member table: name, address
-- @return string
function M.environment(c, member)
  local peer, client = ("https://%s:2380"):format(member.address),
    ("https://%s:2379"):format(member.address)
  local settings = {
    { "NAME", member.name }, { "DATA_DIR", c.etcd.data_dir },
    { "LISTEN_PEER_URLS", peer }, { "INITIAL_ADVERTISE_PEER_URLS", peer },
    { "LISTEN_CLIENT_URLS", client .. ",https://127.0.0.1:2379" },
    { "ADVERTISE_CLIENT_URLS", client },
    { "INITIAL_CLUSTER", peers_of(c) }, { "INITIAL_CLUSTER_STATE", "new" },
    { "INITIAL_CLUSTER_TOKEN", c.name },
    { "CERT_FILE", PKI .. "server.crt" }, { "KEY_FILE", PKI .. "server.key" },
    { "TRUSTED_CA_FILE", PKI .. "ca.crt" }, { "CLIENT_CERT_AUTH", "true" },
    { "PEER_CERT_FILE", PKI .. "peer.crt" }, { "PEER_KEY_FILE", PKI .. "peer.key" },
    { "PEER_TRUSTED_CA_FILE", PKI .. "ca.crt" }, { "PEER_CLIENT_CERT_AUTH", "true" },
    { "AUTO_COMPACTION_RETENTION", c.etcd.compaction_hours },
    { "QUOTA_BACKEND_BYTES", c.etcd.quota_bytes },
    { "HEARTBEAT_INTERVAL", c.etcd.heartbeat_ms }, { "ELECTION_TIMEOUT", c.etcd.election_ms },
  }
  local lines = {}
  for i, setting in ipairs(settings) do
    lines[i] = ("ETCD_%s=%s\n"):format(setting[1], setting[2])
  end
  return table.concat(lines)
end

return M
