-- HAProxy in front of two API servers that are one program here, and of one that is not there.
local kb = require "kb"
local bundle, files, haproxy, systemd = kb.use("bundle", "files", "haproxy", "systemd")

local DEBS = "/var/lib/kbrun/debs"

local api = [[
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend api
  bind 127.0.0.1:6443 ssl crt /etc/lab-api.pem
  http-request return status 200 if { path /readyz }
  http-request deny
]]

local service = "[Service]\nExecStart=/usr/sbin/haproxy -db -f /etc/lab-api.cfg\n"

kb.play { "packages", hosts = "all", become = true, function(host)
  local dir = host.vars.bundle
  bundle.pushed(host, { dir, select = bundle.is_package })
  bundle.packages(host, { DEBS, bundle = dir })
  bundle.installed(host, { "haproxy", path = DEBS, bundle = dir, units = "haproxy.service",
    directories = "/etc/haproxy" })
end }

kb.play { "API servers", hosts = "all", become = true, function(host)
  files.file(host, { "/etc/lab-api.pem", content = kb.secret(kb.read_file(host.vars.pem)),
    mode = "0600" })
  files.file(host, { "/etc/lab-api.cfg", content = api })
  systemd.unit_file(host, { "lab-api.service", content = service })
  systemd.unit(host, { "lab-api", state = "running" })
end }

kb.play { "balancer", hosts = "all", become = true, function(host)
  local masters = { { name = "m0", address = "127.0.0.1" }, { name = "m1", address = "127.0.0.2" },
    { name = "m2", address = "127.0.0.1" } }
  local more = host:var("more", false)
  masters[4] = more and { name = more, address = "127.0.0.1" } or nil
  haproxy.balancer(host, { endpoint = "10.0.0.1:7443", masters = masters,
    profile = { health = "/readyz" } })
  haproxy.gate(host, { "m0" })
  kb.gate(host, { "HAProxy sees that m1 is away", fact = { "haproxy.servers", "masters" },
    becomes = { m0 = "UP", m1 = "DOWN", m2 = "UP" }, holds = function(now)
      return now and now.m1 == "DOWN"
    end })
  haproxy.server(host, { "m2", state = "drain" })
end }
