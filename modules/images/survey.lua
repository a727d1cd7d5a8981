--- What a node is going to ask its runtime for, compared with what is there.

local bundle = require "modules.bundle"
local reference = require "kb.images.reference"

local M = {}

-- Only masters run a control plane; etcd is a service of the masters, not a pod.
local PLACES = { ["kube-apiserver"] = "masters", ["kube-controller-manager"] = "masters",
  ["kube-scheduler"] = "masters", etcd = "none" }

--- Whether a node of the cluster is to have an image of Kubernetes or of the bundle.
-- @param host host
-- @param name string: the image
-- @return boolean
function M.is_for(host, name)
  local place = PLACES[name:match("([^/:]+)[^/]*$")]
  return place == nil or place == "masters" and host:in_group("masters")
end

local Wishes = {}
Wishes.__index = Wishes

-- Note that somebody asks for an image, and which one it must be where that is known.
function Wishes:add(name, by, id)
  local full = reference.full(name)
  local wish = self.by_name[full]
  if not wish then
    wish = { image = full, by = {}, asked = {} }
    self.by_name[full], self.list[#self.list + 1] = wish, wish
  end
  wish.id = wish.id or id
  if not wish.asked[by] then
    wish.asked[by], wish.by[#wish.by + 1] = true, by
  end
end

-- The kubeadm of the node is asked where there is one; else what is known of its version must do.
local function add_of_kubeadm(wishes, host, c)
  local said = host:fact("images.kubeadm", c.version, c.image_repository)
  local no_dns = table.concat(c.skip_phases, " "):find("addon/coredns", 1, true)
  for _, name in ipairs(said or c.images) do
    if M.is_for(host, name) and not (no_dns and name:find("coredns", 1, true)) then
      wishes:add(name, said and "kubeadm" or "kubeadm's profile")
    end
  end
end

local function add_of_cluster(wishes, host, c)
  add_of_kubeadm(wishes, host, c)
  for _, image in ipairs(bundle.images(c.bundle)) do
    if M.is_for(host, image.name) then
      wishes:add(image.name, "bundle", image.id)
    end
  end
end

local function add_of_node(wishes, host, runtime)
  local asked = host:fact("images.asked")
  local settings = runtime == "containerd" and host:fact("containerd.settings")
  local sandbox = settings and settings.sandbox_image or runtime == "docker" and asked.sandbox
  if sandbox then
    wishes:add(sandbox, "sandbox")
  end
  for _, name in ipairs(asked.static_pods) do
    wishes:add(name, "static pod")
  end
end

local function runtime_of(host)
  for _, runtime in ipairs { "docker", "containerd" } do
    if host:fact("unit.state", runtime .. ".service").active == "active" then
      return runtime
    end
  end
  host:fail("neither docker nor containerd runs on this host")
end

-- name -> id of all images that the host has.
local function stock_of(host, runtime)
  local stock = {}
  for id, image in pairs(host:fact("images.present", runtime)) do
    for name in pairs(image.names) do
      stock[name] = id
    end
  end
  return stock
end

-- The module of clusters wants the variable from every playbook that uses it: it is used only where
-- there is one.
local function cluster_of(host)
  if not host:var("cluster") then
    return nil
  end
  local cluster = require "modules.cluster"
  local c = cluster.settings(host)
  c.images = cluster.images(c, true)
  return c
end

--- The images of a node, by their names; those that containerd's CRI makes of ids are left out.
-- @param host host
-- @return list of { node, runtime, image, id }, sorted by name
function M.stock(host)
  local c = cluster_of(host)
  local runtime = c and c.runtime or runtime_of(host)
  local rows = {}
  for name, id in pairs(stock_of(host, runtime)) do
    rows[#rows + 1] = not name:find("^sha256:")
      and { node = host.name, runtime = runtime, image = name, id = id } or nil
  end
  table.sort(rows, function(a, b)
    return a.image < b.image
  end)
  return rows
end

--- What a node asks for, and whether it is there. Asked for is what kubeadm will run, what is in
-- the cluster's bundle for this node, the runtime's own image of pods, the static pods on the node,
-- and what else is named.
-- @param host host
-- @param others list of { image, by }: asked for by manifests
-- @return list of { node, runtime, image, by (list of strings), state ("there", "missing",
-- "another": the name stands for another image than the bundle's), id (of what is there), wanted }
function M.survey(host, others)
  local c = cluster_of(host)
  local runtime = c and c.runtime or runtime_of(host)
  local wishes = setmetatable({ list = {}, by_name = {} }, Wishes)
  if c then
    add_of_cluster(wishes, host, c)
  end
  add_of_node(wishes, host, runtime)
  for _, other in ipairs(others) do
    wishes:add(other.image, other.by)
  end
  local stock, rows = stock_of(host, runtime), {}
  for i, wish in ipairs(wishes.list) do
    local id = stock[wish.image]
    rows[i] = { node = host.name, runtime = runtime, image = wish.image, by = wish.by, id = id,
      wanted = wish.id,
      state = not id and "missing" or wish.id and wish.id ~= id and "another" or "there" }
  end
  return rows
end

return M
