--- The settings of a Kubernetes cluster: the variable `cluster`, with defaults, checked.

local args = require "kb.args"
local err = require "kb.err"
local kb = require "kb"
local profiles = require "modules.cluster.profiles"

local M = {}

--- What the variable `cluster` may hold.
M.declared = {
  { "name", "string", "its name in kubeconfigs", default = "kubernetes" },
  { "version", "string", "the version of Kubernetes: 1.20.2", required = true },
  { "endpoint", "string", "where the API answers: an address or name that all nodes know, and port",
    required = true },
  { "sans", "list", "more names and addresses in the API's certificate", default = {} },
  { "bundle", "path", "the offline bundle on the operator's machine", required = true },
  { "store", "path", "where the certificates are kept on the operator's machine", required = true },
  { "runtime", { "docker", "containerd" }, "the container runtime", default = "docker" },
  { "cni", { "bridge", "none" }, "the pod network: bridge with static routes, or your own",
    default = "bridge" },
  { "pod_subnet", "string", "the network of pods", default = "10.244.0.0/16" },
  { "service_subnet", "string", "the network of services", default = "10.96.0.0/12" },
  { "domain", "string", "the DNS domain of services", default = "cluster.local" },
  { "image_repository", "string", "where images are named after; absent: the version's own" },
  { "skip_phases", "list", "phases of kubeadm init that are left out", default = {} },
  { "ignore_preflight", "list", "kubeadm's checks whose failure is accepted", default = {} },
  { "conntrack_max_per_core", "integer", "kube-proxy's setting; 0 leaves the kernel's" },
  { "token_ttl", "string", "how long a token to join with lives", default = "2h0m0s" },
}

local function minor_of(version)
  local minor = version:match("^1%.(%d+)%.%d+$")
  return tonumber(minor) or err.raise("usage",
    ("cluster.version: an exact version such as 1.20.2 was expected, got %q"):format(version))
end

local function addresses(host, group)
  local list = {}
  for _, name in ipairs(kb.hosts(host, group)) do
    list[#list + 1] = { name = name, address = M.address(kb.host(host, name)) }
  end
  return list
end

--- The address of a host inside the cluster's network: `node_address`, or where we reach it.
-- @param host host
-- @return string
function M.address(host)
  return host:var("node_address") or host:var("ansible_host") or host:var("address") or host.name
end

--- The settings of the cluster that a host belongs to.
-- @param host host
-- @return table: the variable `cluster` with defaults, and minor (integer), profile (what this
-- version of Kubernetes needs), masters, workers, members (lists of {name, address})
-- @raise kb.err of kind usage
function M.settings(host)
  local c = args.check(M.declared, host.vars.cluster, "the variable 'cluster'")
  c.minor = minor_of(c.version)
  c.profile = profiles.of(c.minor)
  c.image_repository = c.image_repository or c.profile.repository
  c.masters, c.workers = addresses(host, "masters"), addresses(host, "workers")
  c.members = c.masters
  return c
end

--- The declaration of the cluster's certificates; see kb.pki.
-- @param c table: settings
-- @return table
function M.certificates(c)
  return {
    kubeadm = { version = c.version, endpoint = c.endpoint, masters = c.masters,
      etcd = "external", etcd_members = c.members, service_subnet = c.service_subnet,
      domain = c.domain, cluster = c.name, sans = c.sans },
    kubeconfigs = { { name = "admin", cluster = c.name, server = "https://" .. c.endpoint,
      user = c.name .. "-admin", issuer = "ca", profile = "client",
      subject = { CN = "kubernetes-admin", O = "system:masters" } } },
  }
end

return M
