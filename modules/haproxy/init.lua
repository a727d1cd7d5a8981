--- HAProxy in front of the API servers.

local kb = require "kb"
local files = require "modules.files"
local systemd = require "modules.systemd"

local M = {}

local CONFIG = "/etc/haproxy/haproxy.cfg"

-- The API is long-lived connections (watches, exec, logs): hours, not seconds. A server is in
-- rotation while its own health page says so, which a hung one does not. The words `check-ssl
-- verify none` stand on each server, where also HAProxy 1.6 accepts them.
local function config(c)
  local lines = { [[
global
  log /dev/log local0
  user haproxy
  group haproxy

defaults
  mode tcp
  log global
  option tcplog
  timeout connect 5s
  timeout client 3h
  timeout server 3h
  timeout check 5s

frontend stats
  mode http
  bind 127.0.0.1:8404
  stats enable
  stats uri /
]], "frontend apiserver", "  bind *:" .. c.endpoint:match(":(%d+)$"),
    "  default_backend masters", "", "backend masters", "  balance roundrobin",
    "  option httpchk GET " .. c.profile.health, "  http-check expect status 200",
    "  default-server inter 2s fall 3 rise 1" }
  for _, master in ipairs(c.masters) do
    lines[#lines + 1] = ("  server %s %s:6443 check check-ssl verify none"):format(master.name,
      master.address)
  end
  return table.concat(lines, "\n") .. "\n"
end

--- Balance the API over the masters. The configuration is checked by HAProxy before it is used.
-- @param host host
-- @param c table: the cluster's settings
function M.balancer(host, c)
  files.file(host, { CONFIG, content = config(c), validate = "haproxy -c -q -f %s" })
  systemd.unit(host, { "haproxy", state = "running", enabled = true, watch = { CONFIG } })
end

--- The gate: HAProxy sees these masters up.
-- @param host host
-- @param names list of strings
function M.gate(host, names)
  local up = {}
  for _, name in ipairs(names) do
    up[name] = "UP"
  end
  kb.gate(host, { "HAProxy sees " .. table.concat(names, ", ") .. " up", within = 120,
    fact = { "haproxy.servers", "masters" }, becomes = up,
    holds = function(servers)
      for _, name in ipairs(names) do
        if not servers or not tostring(servers[name]):find("^UP") then
          return false
        end
      end
      return true
    end,
    evidence = { "systemctl --no-pager status haproxy | head -20",
      "journalctl -u haproxy -n 20 --no-pager" } })
end

return M
