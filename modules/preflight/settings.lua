--- Checks of a cluster's settings and bundle: they need no host.

local bundle = require "modules.bundle"
local ip = require "modules.preflight.network"

local M = {}

local MASK = 24 -- the network of each node's pods, as the controller manager gives them
local SERVICES = 16 -- at least so many addresses for services

local function overlaps(a, b)
  return a.first <= b.last and b.first <= a.last
end

local function check_nodes(c, pods, services, found)
  for _, list in ipairs { c.masters, c.workers } do
    for _, node in ipairs(list) do
      local n = ip.number(node.address)
      if n and (ip.contains(pods, n) or ip.contains(services, n)) then
        found("networks", ("%s's address %s is inside the pods' or services' network")
          :format(node.name, node.address))
      end
    end
  end
end

--- Networks that overlap, or are too small for the nodes.
-- @param c table: the cluster's settings
-- @param found function(check, text)
function M.networks(c, found)
  local pods, services = ip.range(c.pod_subnet), ip.range(c.service_subnet)
  if not pods or not services then
    return found("networks", ("pod_subnet %s and service_subnet %s must be IPv4 networks, such as "
      .. "10.244.0.0/16"):format(c.pod_subnet, c.service_subnet))
  end
  if overlaps(pods, services) then
    found("networks", ("pod_subnet %s and service_subnet %s overlap"):format(c.pod_subnet,
      c.service_subnet))
  end
  local nodes = #c.masters + #c.workers
  if pods.bits > MASK or 1 << (MASK - pods.bits) < nodes then
    found("networks", ("pod_subnet %s has no /%d for each of %d nodes"):format(c.pod_subnet, MASK,
      nodes))
  end
  if services.last - services.first + 1 < SERVICES then
    found("networks", ("service_subnet %s has fewer than %d addresses"):format(c.service_subnet,
      SERVICES))
  end
  check_nodes(c, pods, services, found)
end

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

local function images_of(c)
  local names = { ("%s/pause:%s"):format(c.image_repository, c.profile.pause) }
  for _, name in ipairs { "apiserver", "controller-manager", "scheduler", "proxy" } do
    names[#names + 1] = ("%s/kube-%s:v%s"):format(c.image_repository, name, c.version)
  end
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
  for _, name in ipairs(images_of(c)) do
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

--- A runtime that this version does not know.
-- @param c table: the cluster's settings
-- @param found function(check, text)
function M.runtime(c, found)
  if c.runtime == "docker" and not c.profile.docker then
    found("runtime", ("Kubernetes %s has no docker: say runtime: containerd"):format(c.version))
  end
end

return M
