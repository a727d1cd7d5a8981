--- The pod network `bridge`: the plugin's configuration of a node, and the routes to the pods of
--- the others.

local cluster = require "modules.cluster"
local data = require "kb.data"
local files = require "modules.files"
local json = require "kb.json"
local kb = require "kb"
local systemd = require "modules.systemd"

local M = {}

local DIR, CONFIG = "/etc/cni/net.d", "/etc/cni/net.d/10-bridge.conflist"

--- The routes of a node, as shell text for the unit.
M.ROUTES = "/etc/cni/pod-routes"

--- The unit that makes the routes.
M.UNIT = "pod-routes.service"

--- The text of the unit, which is the same everywhere; what it runs is not.
M.definition = ([[
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
]]):format(M.ROUTES)

--- The configuration of the plugin on a node.
-- @param cidr string: the network of its pods
-- @return string
function M.config(cidr)
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

--- The routes to some networks.
-- @param routes list of { cidr, via }
-- @return string: POSIX sh
function M.routes(routes)
  local lines = {}
  for i, route in ipairs(routes) do
    lines[i] = ("ip route replace %s via %s\n"):format(route.cidr, route.via)
  end
  return table.concat(lines)
end

local function range_of(text)
  local range = type(text) == "string" and text:find("/", 1, true) and cluster.network.range(text)
  return range or kb.refuse(("%s is no network of pods"):format(tostring(text)),
    "such as 10.244.1.0/24")
end

-- Two nodes with one network would give their pods the same addresses.
local function check(cidr, routes)
  local seen = { { "the node's own", range_of(cidr) } }
  for _, route in ipairs(routes) do
    local range = range_of(route.cidr)
    if not tostring(route.via):find("^[%d.]+$") or not cluster.network.range(route.via) then
      kb.refuse(("the route to %s: %s is no address"):format(route.cidr, tostring(route.via)))
    end
    for _, other in ipairs(seen) do
      if cluster.network.overlap(range, other[2]) then
        kb.refuse(("the pod networks overlap: %s (by way of %s) and %s"):format(route.cidr,
          route.via, other[1]))
      end
    end
    seen[#seen + 1] = { ("%s (by way of %s)"):format(route.cidr, route.via), range }
  end
end

local function written(path, content)
  return function(ask)
    return kb.plan(files.file, ask, { path, content = content })
  end
end

--- The questions of cni.bridge.
function M.questions()
  return { { "file.stat", DIR }, { "file.stat", CONFIG }, { "file.digest", CONFIG },
    { "file.stat", M.ROUTES }, { "file.digest", M.ROUTES }, { "user.self" },
    { "unit.state", M.UNIT } }
end

--- The plan of cni.bridge.
-- @param args table: cidr, routes; unknowns in a dry run
-- @param fact function
-- @return change, or nil and a reason
function M.plan(args, fact)
  local unknown = kb.is_unknown(args.cidr) and args.cidr
    or kb.is_unknown(args.routes) and args.routes
  if not unknown then
    check(args.cidr, args.routes)
  end
  return kb.sequence(fact, {
    function(ask)
      return kb.plan(files.directory, ask, { DIR })
    end,
    written(CONFIG, unknown or M.config(args.cidr)),
    written(M.ROUTES, unknown or M.routes(args.routes)),
    function(ask)
      return kb.plan(systemd.unit_file, ask, { M.UNIT, content = M.definition })
    end,
  }, "configure the pod network in /etc/cni")
end

return M
