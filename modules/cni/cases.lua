local kb = require "kb"
local bridge = require "modules.cni.bridge"

local CONFIG, ROUTES = "/etc/cni/net.d/10-bridge.conflist", "/etc/cni/pod-routes"
local UNIT = "/etc/systemd/system/pod-routes.service"
local root = { "user.self", { name = "root", group = "root", home = "/root" } }

local function dir(path)
  return { "file.stat", path, { kind = "directory", mode = tonumber("755", 8), owner = "root",
    group = "root" } }
end

local function absent(path)
  return { "file.stat", path, { kind = "absent" } }
end

local function unit(load)
  return { "unit.state", "pod-routes.service", { load = load, active = "inactive", sub = "dead",
    enabled = "", pid = 0, needs_reload = false, path = load == "loaded" and UNIT or "",
    drop_ins = {} } }
end

local bare = { root, absent "/etc/cni/net.d", absent "/etc/cni", dir "/etc",
  dir "/etc/systemd/system", absent(CONFIG), absent(ROUTES), absent(UNIT), unit "not-found" }

local function has(given, path, content)
  table.move({ { "file.stat", path, { kind = "file", mode = tonumber("644", 8), owner = "root",
    group = "root", size = #content } }, { "file.digest", path, kb.digest(content) },
    { "file.content", path, content } }, 1, 3, #given + 1, given)
end

-- A node that has its own network, and a route to each network of others.
local function made(...)
  local given, routes = { root, dir "/etc/cni/net.d", dir "/etc/cni", dir "/etc/systemd/system",
    unit "loaded" }, {}
  for i, cidr in ipairs { ... } do
    routes[i] = { cidr = cidr, via = "10.0.0." .. 20 + i }
  end
  has(given, CONFIG, bridge.config "10.244.0.0/24")
  has(given, ROUTES, bridge.routes(routes))
  has(given, UNIT, bridge.definition)
  return given
end

local function args(...)
  return { "10.244.0.0/24", routes = { ... } }
end

local one = { cidr = "10.244.1.0/24", via = "10.0.0.21" }
local two = { cidr = "10.244.2.0/24", via = "10.0.0.22" }

return {
  { "cni.bridge", "a bare node", given = bare, args = args(one),
    title = "configure the pod network in /etc/cni" },
  { "cni.bridge", "a node more", given = made "10.244.1.0/24", args = args(one, two),
    title = "configure the pod network in /etc/cni", diff = "@@ -1,1 +1,2 @@\n"
      .. " ip route replace 10.244.1.0/24 via 10.0.0.21\n"
      .. "+ip route replace 10.244.2.0/24 via 10.0.0.22" },
  { "cni.bridge", "is as asked", given = made("10.244.1.0/24", "10.244.2.0/24"),
    args = args(one, two), same = "as asked" },
  { "cni.bridge", "is alone", given = made(), args = args(), same = "as asked" },
  { "cni.bridge", "what nobody knows yet", given = bare, again = false,
    args = { kb.unknown "known after the nodes have joined",
      routes = kb.unknown "known after the nodes have joined" },
    title = "configure the pod network in /etc/cni" },
  { "cni.bridge", "no network", given = bare, args = { "10.244.0.0" },
    refuses = "10.244.0.0 is no network of pods" },
  { "cni.bridge", "by way of a name", given = bare,
    args = args { cidr = "10.244.1.0/24", via = "w0" }, refuses = "w0 is no address" },
  { "cni.bridge", "two nodes with one network", given = bare,
    args = args(one, { cidr = "10.244.1.0/25", via = "10.0.0.22" }),
    refuses = "the pod networks overlap: 10.244.1.0/25 (by way of 10.0.0.22) and 10.244.1.0/24" },
  { "cni.bridge", "another has its own network", given = bare,
    args = args { cidr = "10.244.0.0/16", via = "10.0.0.22" }, refuses = "and the node's own" },
}
