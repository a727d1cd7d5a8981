--- HAProxy in front of the API servers.

local config = require "modules.haproxy.config"
local files = require "modules.files"
local kb = require "kb"
local systemd = require "modules.systemd"

local M = {}

local CONFIG = "/etc/haproxy/haproxy.cfg"

--- Balance the API over the masters. The configuration is checked by HAProxy before it is used.
-- @param host host
-- @param c table: the cluster's settings
function M.balancer(host, c)
  files.file(host, { CONFIG, content = config.text(c), validate = "haproxy -c -q -f %s" })
  systemd.unit(host, { "haproxy", state = "running", enabled = true, reload = { CONFIG } })
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
