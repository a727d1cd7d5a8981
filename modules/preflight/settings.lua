--- Checks of a cluster's settings and bundle: they need no host. Networks, the runtime and what
--- else the settings say by themselves are checked before anything is connected, see cluster.

local bundle = require "modules.bundle"
local cluster = require "modules.cluster"

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
  names[#names + 1] = c.runtime == "docker" and "docker.io" or "containerd"
  return names
end

-- What the bundle has: of images and packages, name -> { version, arch }.
local function contents(dir)
  local has = {}
  for _, item in ipairs(bundle.items(dir)) do
    has[item.name] = item
  end
  return has
end

--- What the bundle lacks for this version.
-- @param c table: the cluster's settings
-- @param found function(check, text)
function M.bundle(c, found)
  local ok, has = pcall(contents, c.bundle)
  if not ok then
    return found("bundle", type(has) == "table" and has.message or tostring(has))
  end
  for _, name in ipairs(cluster.images(c, true)) do
    if not has[name] then
      found("bundle", ("%s has no image %s"):format(c.bundle, name))
    end
  end
  for _, name in ipairs(packages_of(c)) do
    if not has[name] then
      found("bundle", ("%s has no package %s"):format(c.bundle, name))
    end
  end
  for _, name in ipairs { "kubelet", "kubeadm", "kubectl" } do
    local version = has[name] and has[name].version
    if version and version:match("^[%d.]+") ~= c.version then
      found("bundle", ("%s has %s %s, and cluster.version is %s"):format(c.bundle, name, version,
        c.version))
    end
  end
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

return M
