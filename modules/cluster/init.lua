--- The settings of a Kubernetes cluster: the variable `cluster`, with defaults, checked.

local check = require "modules.cluster.check"
local err = require "kb.err"
local kb = require "kb"
local network = require "modules.cluster.network"
local profiles = require "modules.cluster.profiles"
local schema = require "modules.cluster.schema"

local M = {}

--- What the variable `cluster` may hold: entries of kb.args, with `fields` for maps.
M.declared = schema.settings

--- Networks as ranges of addresses; see modules/cluster/network.lua.
M.network = network

--- What differs between versions of Kubernetes.
M.profiles = profiles

-- The address of a host, from where its variables are read.
local function address_of(name, var)
  return tostring(var "node_address" or var "ansible_host" or var "address" or name)
end

local function nodes_of(hosts)
  local list = {}
  for _, name in ipairs(hosts.match "masters:workers") do
    list[#list + 1] = { name = name, address = address_of(name, function(variable)
      return hosts.var(name, variable)
    end) }
  end
  return list
end

kb.variable("cluster", function(value, hosts)
  local _, findings = check.read(value, nodes_of(hosts))
  return findings
end)

local function addresses(host, group)
  local list = {}
  for _, name in ipairs(kb.hosts(host, group)) do
    local node = kb.host(host, name)
    list[#list + 1] = { name = name, address = M.address(node),
      labels = node:var("node_labels", {}), taints = node:var("node_taints", {}) }
  end
  return list
end

--- The address of a host inside the cluster's network: `node_address`, or where we reach it.
-- @param host host
-- @return string
function M.address(host)
  return address_of(host.name, function(variable)
    return host:var(variable)
  end)
end

--- The settings of the cluster that a host belongs to.
-- @param host host
-- @return table: the variable `cluster` with defaults, and minor (integer), profile (what this
-- version of Kubernetes needs), masters, workers, members (lists of {name, address, labels,
-- taints}), socket (of the runtime, as kubeadm and the kubelet write it)
-- @raise kb.err of kind usage
function M.settings(host)
  local c, findings = check.read(host.vars.cluster, {})
  for _, finding in ipairs(findings) do
    err.raise("usage", ("the variable 'cluster': %s: %s"):format(table.concat(finding.path, "."),
      finding.message))
  end
  c.image_repository = c.image_repository or c.profile.repository
  c.socket = c.profile[c.runtime == "docker" and "dockershim_socket" or "containerd_socket"]
  c.masters, c.workers = addresses(host, "masters"), addresses(host, "workers")
  c.members = c.masters
  return c
end

--- The images that a cluster needs of kubeadm, by their full names.
-- @param c table: settings
-- @param as_master boolean: the control plane's, too
-- @return list of strings
function M.images(c, as_master)
  local list = { ("%s/pause:%s"):format(c.image_repository, c.profile.pause),
    ("%s/kube-proxy:v%s"):format(c.image_repository, c.version) }
  for _, name in ipairs(as_master and { "apiserver", "controller-manager", "scheduler" } or {}) do
    list[#list + 1] = ("%s/kube-%s:v%s"):format(c.image_repository, name, c.version)
  end
  if not table.concat(c.skip_phases, " "):find("addon/coredns", 1, true) then
    -- below a repository of one's own, CoreDNS has no directory of its own
    local own = c.image_repository ~= c.profile.repository
    list[#list + 1] = c.image_repository .. "/"
      .. (own and c.profile.coredns:match("[^/]+$") or c.profile.coredns)
  end
  return list
end

-- The authorities that are the operator's own, by their names in the store.
local function imports(c)
  local list = {}
  for name, own in pairs(c.authorities) do
    list[name:gsub("_", "-")] = { certificate = own.certificate, key = own.key,
      passphrase = own.passphrase and kb.reveal(own.passphrase) }
  end
  return list
end

--- The declaration of the cluster's certificates; see kb.pki.
-- @param c table: settings
-- @return table
function M.certificates(c)
  return {
    kubeadm = { version = c.version, endpoint = c.endpoint, masters = c.masters,
      etcd = "external", etcd_members = c.members, service_subnet = c.service_subnet,
      domain = c.domain, cluster = c.name, sans = c.sans, import = imports(c),
      uploaded = c.certificates == "upload-certs" },
    kubeconfigs = { { name = "admin", cluster = c.name, server = "https://" .. c.endpoint,
      user = c.name .. "-admin", issuer = "ca", profile = "client",
      subject = { CN = "kubernetes-admin", O = "system:masters" } } },
  }
end

return M
