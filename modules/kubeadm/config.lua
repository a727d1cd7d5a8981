--- kubeadm's configuration, in the form that each version reads.

local data = require "kb.data"
local yaml = require "kb.yaml"

local M = {}

-- Before v1beta4 extra arguments are a map; from it on a list of names and values, since an
-- argument may be given twice.
local function arguments(api, list)
  if api:find("v1beta4$") then
    local items = {}
    for i, pair in ipairs(list) do
      items[i] = data.map { { "name", pair[1] }, { "value", pair[2] } }
    end
    return data.list(items)
  end
  return data.map(list)
end

local function ignored(c)
  return #c.ignore_preflight > 0 and data.list(c.ignore_preflight) or nil
end

local function pairs_of(...)
  local list = {}
  for _, pair in ipairs { ... } do
    if pair[2] ~= nil then
      list[#list + 1] = pair
    end
  end
  return data.map(list)
end

-- nodeRegistration.ignorePreflightErrors is there from v1beta2 on.
local function registration(c, name, socket)
  return pairs_of({ "name", name }, { "criSocket", socket },
    { "ignorePreflightErrors", c.minor >= 15 and ignored(c) or nil },
    { "kubeletExtraArgs", c.kubelet_arguments and arguments(c.profile.api, c.kubelet_arguments) })
end

local function external_etcd(c)
  local endpoints = {}
  for i, member in ipairs(c.members) do
    endpoints[i] = ("https://%s:2379"):format(member.address)
  end
  return data.map { { "external", data.map {
    { "endpoints", data.list(endpoints) },
    { "caFile", "/etc/etcd/pki/ca.crt" },
    { "certFile", "/etc/etcd/pki/apiserver-etcd-client.crt" },
    { "keyFile", "/etc/etcd/pki/apiserver-etcd-client.key" } } } }
end

local function socket_of(c)
  if c.runtime == "containerd" then
    -- 1.24 and later want the scheme
    return (c.minor >= 24 and "unix://" or "") .. "/run/containerd/containerd.sock"
  end
  return "/var/run/dockershim.sock"
end

local function dump(documents)
  return yaml.dump_all(documents)
end

local function kubelet(c)
  local document = { { "apiVersion", "kubelet.config.k8s.io/v1beta1" },
    { "kind", "KubeletConfiguration" }, { "cgroupDriver", "systemd" } }
  if c.resolv_conf then
    document[#document + 1] = { "resolvConf", c.resolv_conf }
  end
  return data.map(document)
end

local function kube_proxy(c)
  return c.conntrack_max_per_core and data.map {
    { "apiVersion", "kubeproxy.config.k8s.io/v1alpha1" }, { "kind", "KubeProxyConfiguration" },
    { "conntrack", data.map { { "maxPerCore", c.conntrack_max_per_core } } } }
end

--- The configuration of `kubeadm init`.
-- @param c table: the cluster's settings
-- @param node table: name, address
-- @return string: YAML
function M.init(c, node)
  local api = c.profile.api
  local documents = {
    data.map { { "apiVersion", api }, { "kind", "InitConfiguration" },
      { "localAPIEndpoint", data.map { { "advertiseAddress", node.address },
        { "bindPort", 6443 } } },
      { "nodeRegistration", registration(c, node.name, socket_of(c)) } },
    pairs_of({ "apiVersion", api }, { "kind", "ClusterConfiguration" },
      { "clusterName", c.name }, { "kubernetesVersion", "v" .. c.version },
      { "controlPlaneEndpoint", c.endpoint }, { "imageRepository", c.image_repository },
      { "apiServer", #c.sans > 0 and data.map { { "certSANs", data.list(c.sans) } } or nil },
      { "networking", data.map { { "dnsDomain", c.domain }, { "podSubnet", c.pod_subnet },
        { "serviceSubnet", c.service_subnet } } },
      { "etcd", external_etcd(c) }),
    kubelet(c),
  }
  documents[#documents + 1] = kube_proxy(c) or nil
  return dump(documents)
end

--- The configuration of `kubeadm join`.
-- @param c table: the cluster's settings
-- @param node table: name, address
-- @param token string: a bootstrap token
-- @param ca_hash string: "sha256:…" of the cluster's authority
-- @param as_master boolean
-- @return string: YAML
function M.join(c, node, token, ca_hash, as_master)
  return dump { pairs_of({ "apiVersion", c.profile.api }, { "kind", "JoinConfiguration" },
    { "discovery", data.map { { "bootstrapToken", data.map {
      { "apiServerEndpoint", c.endpoint }, { "token", token },
      { "caCertHashes", data.list { ca_hash } } } } } },
    { "nodeRegistration", registration(c, node.name, socket_of(c)) },
    { "controlPlane", as_master and data.map { { "localAPIEndpoint", data.map {
      { "advertiseAddress", node.address }, { "bindPort", 6443 } } } } or nil }) }
end

return M
