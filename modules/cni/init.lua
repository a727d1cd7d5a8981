--- The pod network without a daemon: the `bridge` plugin on each node, and a route to the pods of
--- every other node. It needs no images, and all nodes in one layer-2 network.

local cluster = require "modules.cluster"
local data = require "kb.data"
local files = require "modules.files"
local json = require "kb.json"
local kb = require "kb"
local systemd = require "modules.systemd"

local M = {}

local CONFIG, ROUTES = "/etc/cni/net.d/10-bridge.conflist", "/etc/cni/pod-routes"

local function bridge(cidr)
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

local function routes(own, networks)
  local lines = {}
  for _, node in ipairs(networks) do
    if node.name ~= own then
      lines[#lines + 1] = ("ip route replace %s via %s\n"):format(node.cidr, node.address)
    end
  end
  return table.concat(lines)
end

-- The pod network of every node: { name, address, cidr }; once in a run, asked of a master.
local function networks_of(host, c)
  return kb.once(host, "pod networks", function()
    return kb.on(host, c.masters[1].name, function(master)
      local list = {}
      for _, group in ipairs { c.masters, c.workers } do
        for _, node in ipairs(group) do
          kb.gate(master, { node.name .. " has a pod network", within = 60,
            fact = { "kubeadm.pod_cidr", node.name }, holds = function(cidr)
              return cidr
            end })
          list[#list + 1] = { name = node.name, address = node.address,
            cidr = master:fact("kubeadm.pod_cidr", node.name) }
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

--- Give a node its pod network.
-- @param host host
function M.node(host)
  local c = cluster.settings(host)
  local networks = kb.after(nil, function()
    return networks_of(host, c)
  end)
  local known = not kb.is_unknown(networks)
  files.directory(host, { "/etc/cni/net.d" })
  files.file(host, { CONFIG, content = known and bridge(cidr_of(host.name, networks)) or networks })
  files.file(host, { ROUTES, content = known and routes(host.name, networks) or networks })
  systemd.unit_file(host, { "pod-routes.service", content = UNIT })
  systemd.unit(host, { "pod-routes", state = "running", enabled = true, watch = { ROUTES } })
end

return M
