--- The pod network: `bridge`, which needs no daemon and no images (the plugin on each node,
--- and a route to the pods of every other node; all nodes in one network), or one of a manifest.

local cluster = require "modules.cluster"
local data = require "kb.data"
local evidence = require "modules.evidence"
local files = require "modules.files"
local json = require "kb.json"
local kb = require "kb"
local kubectl = require "modules.kubectl"
local manifest = require "modules.cni.manifest"
local systemd = require "modules.systemd"

local M = {}

local KUBECONFIG = "/etc/kubernetes/admin.conf"
local CONFIG, ROUTES = "/etc/cni/net.d/10-bridge.conflist", "/etc/cni/pod-routes"

--- The configuration of the bridge on a node.
-- @param cidr string: the network of its pods
-- @return string
function M.bridge(cidr)
  return json.encode(data.map {
    { "cniVersion", "0.4.0" }, { "name", "bridge" },
    { "plugins", data.list { data.map {
      { "type", "bridge" }, { "bridge", "cni0" }, { "isGateway", true }, { "ipMasq", true },
      { "hairpinMode", true },
      { "ipam", data.map { { "type", "host-local" },
        { "ranges", data.list { data.list { data.map { { "subnet", cidr } } } } },
        { "routes", data.list { data.map { { "dst", "0.0.0.0/0" } } } } } } },
      data.map { { "type", "portmap" }, { "capabilities", data.map { { "portMappings", true } } } },
    } } }, { indent = 2 }) .. "\n"
end

-- The unit is the same everywhere; what it runs is not.
local UNIT = ([[
[Unit]
Description=Routes to the pods of the other nodes
Wants=network-online.target
After=network-online.target
Before=kubelet.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -e %s

[Install]
WantedBy=multi-user.target
]]):format(ROUTES)

--- The routes of a node to the pods of the others.
-- @param own string: the node's name
-- @param networks list of {name, address, cidr}
-- @return string: POSIX sh
function M.routes(own, networks)
  local lines = {}
  for _, node in ipairs(networks) do
    if node.name ~= own then
      lines[#lines + 1] = ("ip route replace %s via %s\n"):format(node.cidr, node.address)
    end
  end
  return table.concat(lines)
end

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

local function cidr_of(name, networks)
  for _, node in ipairs(networks) do
    if node.name == name then
      return node.cidr
    end
  end
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
  local known = not kb.is_unknown(networks)
  files.directory(host, { "/etc/cni/net.d" })
  files.file(host, { CONFIG,
    content = known and M.bridge(cidr_of(host.name, networks)) or networks })
  files.file(host, { ROUTES, content = known and M.routes(host.name, networks) or networks })
  systemd.unit_file(host, { "pod-routes.service", content = UNIT })
  systemd.unit(host, { "pod-routes", state = "running", enabled = true, watch = { ROUTES } })
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
