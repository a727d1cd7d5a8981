--- The pod network: `bridge`, which needs no daemon and no images (the plugin on each node,
--- and a route to the pods of every other node; all nodes in one network), or one of a manifest.

local bridge = require "modules.cni.bridge"
local cluster = require "modules.cluster"
local evidence = require "modules.evidence"
local kb = require "kb"
local kubectl = require "modules.kubectl"
local manifest = require "modules.cni.manifest"
local systemd = require "modules.systemd"

local M = {}

local KUBECONFIG = "/etc/kubernetes/admin.conf"

--- What a node needs for the network `bridge`: the configuration of the plugin, and a unit that
-- makes the routes to the pods of the other nodes, which is still to be started.
-- @param cidr string: the network of the node's pods: "10.244.1.0/24"
-- @param routes table: list of { cidr = the network of another node's pods, via = its address }
M.bridge = kb.op {
  name = "cni.bridge",
  args = { { "cidr", "string", "the network of the node's pods", at = 1, required = true,
      unknown = true },
    { "routes", "table", "the other nodes' networks and addresses", default = {},
      unknown = true } },
  facts = bridge.questions,
  plan = bridge.plan,
}

-- Wait for the pod networks of some nodes; those of all that have one.
local function cidrs_of(master, names)
  kb.gate(master, { table.concat(names, ", ") .. " have a pod network", within = 60,
    fact = { "kubeadm.pod_cidrs" },
    holds = function(cidrs)
      for _, name in ipairs(names) do
        if not cidrs or not cidrs[name] then
          return false
        end
      end
      return true
    end,
    evidence = { evidence.nodes(KUBECONFIG), evidence.pods(KUBECONFIG), evidence.exited() } })
  return master:fact("kubeadm.pod_cidrs") or {}
end

-- The pod network of every node: { name, address, cidr }; once in a run, asked of a master. A node
-- that this run does not bring into the cluster, or that has failed, may have none.
local function networks_of(host, c)
  return kb.once(host, "pod networks", function()
    return kb.on(host, c.masters[1].name, function(master)
      local list, expected = {}, {}
      for _, name in ipairs(kb.working(host, "masters:workers")) do
        expected[#expected + 1] = kb.takes_part(host, name) and name or nil
      end
      local cidrs = cidrs_of(master, expected)
      for _, group in ipairs { c.masters, c.workers } do
        for _, node in ipairs(group) do
          list[#list + 1] = cidrs[node.name] and { name = node.name, address = node.address,
            cidr = cidrs[node.name] } or nil
        end
      end
      return list
    end)
  end)
end

-- A node's own network, and the way to those of the others.
local function split(name, networks)
  local own, routes = nil, {}
  for _, node in ipairs(networks) do
    if node.name == name then
      own = node.cidr
    else
      routes[#routes + 1] = { cidr = node.cidr, via = node.address }
    end
  end
  return own, routes
end

--- The manifest of the pod network, as it is applied: with the cluster's pod network, and only when
-- the bundle has all of its images.
-- @param c table: the cluster's settings
-- @return string: YAML
-- @raise kb.err of kind failed
function M.manifest(c)
  local name = c.cni_manifest or c.cni .. ".yaml"
  local documents = kubectl.manifest.documents(kubectl.manifest.text(c, name), name)
  kubectl.manifest.check_images(c, documents, name)
  return manifest.text(documents, c)
end

--- Bring a pod network into the cluster from its manifest.
-- @param host host: a master
-- @param c table: the cluster's settings
function M.applied(host, c)
  kubectl.manifest_applied(host, { name = c.cni .. ".yaml", text = M.manifest(c),
    server_side = c.minor >= 22 })
end

--- Give a node its pod network.
-- @param host host
function M.node(host)
  local c = cluster.settings(host)
  local networks = kb.after(nil, function()
    return networks_of(host, c)
  end)
  local cidr, routes = networks, networks
  if not kb.is_unknown(networks) then
    cidr, routes = split(host.name, networks)
    if not cidr then
      host:fail("the cluster has given this node no network for its pods")
    end
  end
  M.bridge(host, { cidr, routes = routes })
  systemd.unit(host, { bridge.UNIT, state = "running", enabled = true, watch = { bridge.ROUTES } })
end

--- Tell the nodes that a run leaves out, as with --limit, of those that it brings into the cluster.
-- One that cannot be reached learns of them when it takes part again.
-- @param host host: any node of the run
function M.others(host)
  kb.once(host, "pod networks of others", function()
    for _, name in ipairs(kb.working(host, "masters:workers")) do
      if not kb.takes_part(host, name) then
        local ok, e = pcall(kb.on, host, name, function(other)
          if other:fact("kubeadm.node").joined then
            M.node(other)
          end
        end)
        if not ok and (type(e) ~= "table" or e.kind ~= "unreachable") then
          error(e, 0)
        end
      end
    end
  end)
end

return M
