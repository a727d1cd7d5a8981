--- MetalLB: addresses for services of type LoadBalancer, announced on layer 2.

local cluster = require "modules.cluster"
local config = require "modules.metallb.config"
local kb = require "kb"
local kubectl = require "modules.kubectl"

local M = {}

local KUBECTL = "kubectl --kubeconfig /etc/kubernetes/admin.conf"

-- Clouds answer ARP themselves: only for addresses that they have given to the machine.
local clouds = { "Alibaba", "Amazon", "Google", "Microsoft", "DigitalOcean", "OpenStack", "Hetzner",
  "Tencent", "Huawei", "Oracle" }

local function cloud_of(maker)
  for _, name in ipairs(clouds) do
    if maker:find(name, 1, true) then
      return name
    end
  end
end

local function is_node(c, range)
  for _, list in ipairs { c.workers, c.masters } do
    for _, node in ipairs(list) do
      if range.first == range.last and cluster.network.holds(range, node.address) then
        return true
      end
    end
  end
  return false
end

--- Why addresses cannot be announced on layer 2, as far as can be seen.
-- @param c table: the cluster's settings
-- @param nodes list of { name, maker, network }: what the facts say of each node
-- @return list of strings: warnings; empty: none
function M.objections(c, nodes)
  local list, networks, order = {}, {}, {}
  for _, node in ipairs(nodes) do
    local range = node.network and cluster.network.range(node.network)
    local key = range and ("%d/%d"):format(range.first, range.bits) or "none"
    if range and not networks[key] then
      networks[key] = range
      order[#order + 1] = node.network
    end
    local cloud = cloud_of(node.maker or "")
    if cloud and not list.cloud then
      list.cloud = true
      list[#list + 1] = ("%s is a machine of %s: clouds do not pass on ARP for addresses that they "
        .. "have not given to a machine; only the nodes' own addresses can work"):format(node.name,
          cloud)
    end
  end
  if #order > 1 then
    list[#list + 1] = ("the nodes are in different networks (%s): an address is announced only in "
      .. "that of the node that has it"):format(table.concat(order, ", "))
  end
  for _, text in ipairs(c.addons.metallb.addresses) do
    local range, inside = cluster.network.range(text), false
    for _, network in pairs(networks) do
      inside = inside or cluster.network.overlap(range, network)
    end
    if #order > 0 and not inside and not is_node(c, range) then
      list[#list + 1] = text .. " is in no node's network: nobody there will ask for it by ARP"
    end
  end
  list.cloud = nil
  return list
end

--- Warn when layer 2 cannot work here.
-- @param host host: any one
-- @param c table: the cluster's settings
function M.warn(host, c)
  local nodes = {}
  for _, list in ipairs { c.workers, c.masters } do
    for _, node in ipairs(list) do
      kb.on(host, node.name, function(other)
        nodes[#nodes + 1] = { name = node.name, maker = other:fact("metallb.maker"),
          network = other:fact("metallb.network", node.address) }
      end)
    end
  end
  for _, text in ipairs(M.objections(c, nodes)) do
    host:warn("MetalLB: " .. text)
  end
end

--- The secret that the speakers of MetalLB 0.9 to 0.12 know each other by: made at random on the
-- master, in no command line, and kept when it is there.
-- @param namespace string: MetalLB's
M.secret = kb.op {
  name = "metallb.secret",
  args = { { "namespace", "string", "MetalLB's", at = 1, default = "metallb-system" } },
  facts = function(args)
    return { { "metallb.secret", args.namespace } }
  end,
  plan = function(args, fact)
    if not args.namespace:find("^[%l%d][%l%d-]*$") then
      kb.refuse(("%q is not the name of a namespace"):format(args.namespace))
    elseif fact("metallb.secret", args.namespace) then
      return nil, "the speakers have their secret"
    end
    return { title = "make the secret of MetalLB's speakers",
      actions = { { run = ("head -c 96 /dev/urandom | base64 -w 0 | %s --namespace %s create "
        .. "secret generic memberlist --from-file=secretkey=/dev/stdin"):format(KUBECTL,
          args.namespace),
        fails = "the secret of MetalLB's speakers could not be made" } },
      effect = { { "metallb.secret", args.namespace, true } } }
  end,
}

--- The manifest of MetalLB itself; only when the bundle has all of its images.
-- @param c table: the cluster's settings
-- @return string
-- @raise kb.err of kind failed
function M.manifest(c)
  local name = c.addons.metallb.manifest
  local text = kubectl.manifest.text(c, name)
  kubectl.manifest.check_images(c, kubectl.manifest.documents(text, name), name)
  return text
end

--- The manifest that gives it its addresses: a ConfigMap before 0.13, an IPAddressPool and an
-- L2Advertisement after.
-- @param c table: the cluster's settings
-- @return string: YAML
function M.pool(c)
  return config.pool(c.addons.metallb)
end

--- Bring MetalLB into the cluster, and give it its addresses once it listens.
-- @param host host: a master
-- @param c table: the cluster's settings
function M.applied(host, c)
  local metallb = c.addons.metallb
  M.warn(host, c)
  kubectl.manifest_applied(host, { name = "metallb.yaml", text = M.manifest(c),
    server_side = c.minor >= 22, brings_kinds = true })
  if config.wants_secret(metallb.version) then
    M.secret(host, { metallb.namespace })
  end
  -- its webhook checks the addresses, so that it must be there first
  kubectl.gate(host, { kind = "deployment", name = "controller", namespace = metallb.namespace })
  kubectl.manifest_applied(host, { name = "metallb-pool.yaml", text = M.pool(c),
    server_side = c.minor >= 22 })
  kubectl.gate(host, { kind = "daemonset", name = "speaker", namespace = metallb.namespace })
end

return M
