--- Checks of a cluster's settings and bundle: they need no host. Networks, the runtime and what
--- else the settings say by themselves are checked before anything is connected, see cluster.

local bundle = require "modules.bundle"
local cluster = require "modules.cluster"
local cni = require "modules.cni"
local metallb = require "modules.metallb"

local M = {}

--- An etcd that is no safer than a smaller one.
-- @param c table: the cluster's settings
-- @param found function(check, text)
function M.members(c, found)
  if #c.members % 2 == 0 then
    found("etcd-members", ("%d members: an even number is no safer than one less")
      :format(#c.members))
  end
end

--- Two nodes of one address.
-- @param c table: the cluster's settings
-- @param found function(check, text)
function M.addresses(c, found)
  local owners = {}
  for _, list in ipairs { c.masters, c.workers } do
    for _, node in ipairs(list) do
      local other = owners[node.address]
      if other then
        found("address", ("%s and %s both have %s"):format(other, node.name, node.address))
      end
      owners[node.address] = node.name
    end
  end
end

local function packages_of(c)
  local names = { "kubelet", "kubeadm", "kubectl", "kubernetes-cni", "etcd-server", "etcd-client",
    "haproxy" }
  local of_runtime = c.runtime == "docker" and { "docker.io" } or { "containerd", "cri-tools" }
  return table.move(of_runtime, 1, #of_runtime, #names + 1, names)
end

--- The architectures that the bundle's packages are for.
-- @param c table: the cluster's settings
-- @return table: architecture -> true; false when there is no such bundle
function M.architectures(c)
  local ok, items = pcall(bundle.items, c.bundle)
  if not ok then
    return false
  end
  local found = {}
  for _, item in ipairs(items) do
    if item.name == "kubelet" or item.name == "kubeadm" then
      found[item.arch or "amd64"] = true
    end
  end
  return found
end

-- Manifests that are not there, or that name images which the bundle has not.
local function check_manifests(c, found)
  local wanted = { c.cni and c.cni ~= "bridge" and c.cni ~= "none" and cni.manifest or nil }
  wanted[#wanted + 1] = c.addons and c.addons.metallb and metallb.manifest or nil
  for _, manifest in ipairs(wanted) do
    local ok, e = pcall(manifest, c)
    if not ok then
      found("bundle", type(e) == "table" and e.message or tostring(e))
    end
  end
end

--- What the bundle lacks for this version, and for the architecture of its own Kubernetes.
-- @param c table: the cluster's settings
-- @param found function(check, text)
function M.bundle(c, found)
  local versions, architectures = {}, M.architectures(c) or {}
  for _, name in ipairs { "kubelet", "kubeadm", "kubectl" } do
    versions[name] = c.version
  end
  local arch = next(architectures)
  local ok, missing = pcall(bundle.missing, c.bundle, { images = cluster.images(c, true),
    packages = packages_of(c), versions = versions,
    arch = arch and not next(architectures, arch) and arch or nil })
  if not ok then
    return found("bundle", type(missing) == "table" and missing.message or tostring(missing))
  end
  for _, text in ipairs(missing) do
    found("bundle", ("%s has %s"):format(c.bundle, text))
  end
  check_manifests(c, found)
end

return M
