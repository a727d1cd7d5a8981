--- kubeadm's configuration, in the form that each version reads, from one declaration.
--- v1alpha3 has flat names in ClusterConfiguration and JoinConfiguration; v1beta1 nests them;
--- v1beta2 brings certificateKey and ignorePreflightErrors; v1beta3 imagePullPolicy; v1beta4 makes
--- extra arguments lists and moves all timeouts to one place.

local data = require "kb.data"
local yaml = require "kb.yaml"

local M = {}

local ORDER = { v1alpha3 = 1, v1beta1 = 2, v1beta2 = 3, v1beta3 = 4, v1beta4 = 5 }

local function at_least(c, api)
  return ORDER[c.kubeadm_api] >= ORDER[api]
end

-- A map of the pairs that have a value; false and nil are left out, as are empty maps and lists.
local function map_of(entries)
  local kept = {}
  for i = 1, entries.n or #entries do
    local entry = entries[i]
    local value = entry and entry[2]
    local empty = type(value) == "table" and next(value) == nil
    if value ~= nil and value ~= false and not empty then
      kept[#kept + 1] = entry
    end
  end
  return data.map(kept)
end

local function document(c, kind, entries)
  table.insert(entries, 1, { "apiVersion", "kubeadm.k8s.io/" .. c.kubeadm_api })
  table.insert(entries, 2, { "kind", kind })
  return map_of(entries)
end

-- Before v1beta4 extra arguments are a map; from it on a list of names and values.
local function arguments(c, args)
  local list = {}
  for name, value in data.pairs(args) do
    if at_least(c, "v1beta4") then
      list[#list + 1] = data.map { { "name", name }, { "value", tostring(value) } }
    else
      list[#list + 1] = { name, tostring(value) }
    end
  end
  return at_least(c, "v1beta4") and data.list(list) or data.map(list)
end

-- What is not the controller manager's own default is said to it.
local function controller_manager_args(c)
  local args = data.map()
  for name, value in data.pairs(c.controller_manager.extra_args) do
    args[name] = value
  end
  if c.node_cidr_mask_size ~= 24 then
    args["node-cidr-mask-size"] = c.node_cidr_mask_size
  end
  return args
end

local function registration(c, node)
  return map_of { { "name", node.name }, { "criSocket", c.socket },
    { "imagePullPolicy", at_least(c, "v1beta3") and "IfNotPresent" },
    { "ignorePreflightErrors", at_least(c, "v1beta2") and data.list(c.ignore_preflight) } }
end

local function endpoint_of(node)
  return data.map { { "advertiseAddress", node.address }, { "bindPort", 6443 } }
end

local function external_etcd(c)
  local endpoints = {}
  for i, member in ipairs(c.members) do
    endpoints[i] = ("https://%s:2379"):format(member.address)
  end
  return data.map { { "external", data.map {
    { "endpoints", data.list(endpoints) },
    { "caFile", "/etc/etcd/pki/apiserver-etcd-ca.crt" },
    { "certFile", "/etc/etcd/pki/apiserver-etcd-client.crt" },
    { "keyFile", "/etc/etcd/pki/apiserver-etcd-client.key" } } } }
end

-- The parts of the control plane: flat names in v1alpha3, nested ones after it.
local function components(c)
  local api, manager, scheduler = arguments(c, c.api_server.extra_args),
    arguments(c, controller_manager_args(c)), arguments(c, c.scheduler.extra_args)
  if not at_least(c, "v1beta1") then
    return { "apiServerCertSANs", data.list(c.sans) }, { "apiServerExtraArgs", api },
      { "controllerManagerExtraArgs", manager }, { "schedulerExtraArgs", scheduler }
  end
  return { "apiServer", map_of { { "certSANs", data.list(c.sans) }, { "extraArgs", api },
      { "timeoutForControlPlane", not at_least(c, "v1beta4") and c.timeouts.control_plane } } },
    { "controllerManager", map_of { { "extraArgs", manager } } },
    { "scheduler", map_of { { "extraArgs", scheduler } } }
end

local function cluster_configuration(c)
  local entries = { { "clusterName", c.name }, { "kubernetesVersion", "v" .. c.version },
    { "controlPlaneEndpoint", c.endpoint }, { "imageRepository", c.image_repository },
    { "networking", data.map { { "dnsDomain", c.domain }, { "podSubnet", c.pod_subnet },
      { "serviceSubnet", c.service_subnet } } },
    { "etcd", external_etcd(c) } }
  for _, entry in ipairs { components(c) } do
    entries[#entries + 1] = entry
  end
  return document(c, "ClusterConfiguration", entries)
end

local function kubelet(c)
  return map_of { { "apiVersion", "kubelet.config.k8s.io/v1beta1" },
    { "kind", "KubeletConfiguration" }, { "cgroupDriver", c.profile.cgroup_driver },
    { "maxPods", c.kubelet.max_pods }, { "resolvConf", c.kubelet.resolv_conf } }
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
  local documents = {
    document(c, "InitConfiguration", {
      { at_least(c, "v1beta1") and "localAPIEndpoint" or "apiEndpoint", endpoint_of(node) },
      { "nodeRegistration", registration(c, node) },
      { "timeouts", at_least(c, "v1beta4") and data.map {
        { "controlPlaneComponentHealthCheck", c.timeouts.control_plane } } } }),
    cluster_configuration(c), kubelet(c) }
  documents[#documents + 1] = kube_proxy(c) or nil
  return yaml.dump_all(documents)
end

-- v1alpha3: everything beside each other.
local function flat_join(c, node, how)
  return document(c, "JoinConfiguration", {
    { "clusterName", c.name }, { "token", how.token },
    { "discoveryTokenAPIServers", data.list { c.endpoint } },
    { "discoveryTokenCACertHashes", data.list { how.ca_hash } },
    { "discoveryTimeout", c.timeouts.discovery },
    { "nodeRegistration", registration(c, node) },
    { "controlPlane", how.master }, { "apiEndpoint", how.master and endpoint_of(node) } })
end

local function nested_join(c, node, how)
  return document(c, "JoinConfiguration", {
    { "discovery", map_of { { "bootstrapToken", data.map {
        { "apiServerEndpoint", c.endpoint }, { "token", how.token },
        { "caCertHashes", data.list { how.ca_hash } } } },
      { "timeout", not at_least(c, "v1beta4") and c.timeouts.discovery } } },
    { "nodeRegistration", registration(c, node) },
    { "controlPlane", how.master and map_of { { "localAPIEndpoint", endpoint_of(node) },
      { "certificateKey", how.certificate_key } } },
    { "timeouts", at_least(c, "v1beta4") and data.map {
      { "controlPlaneComponentHealthCheck", c.timeouts.control_plane },
      { "discovery", c.timeouts.discovery } } } })
end

--- The configuration of `kubeadm join`.
-- @param c table: the cluster's settings
-- @param node table: name, address
-- @param how table: token (a bootstrap token), ca_hash ("sha256:…" of the cluster's authority),
-- master (boolean), certificate_key (hexadecimal; nil: the certificates are there)
-- @return string: YAML
function M.join(c, node, how)
  local make = at_least(c, "v1beta1") and nested_join or flat_join
  return yaml.dump(make(c, node, how))
end

return M
