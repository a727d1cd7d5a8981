--- HAProxy's configuration in front of API servers.

local M = {}

-- The API is long-lived connections (watches, exec, logs): hours, not seconds.
local GENERAL = [[
global
  log /dev/log local0
  user haproxy
  group haproxy
  stats socket /run/haproxy/admin.sock mode 660 level admin

defaults
  mode tcp
  log global
  option tcplog
  timeout connect 5s
  timeout client 3h
  timeout server 3h
  timeout check 5s
]]

--- The text of haproxy.cfg. A server is in rotation while its own health page says so, which a hung
--- one does not. The words `check-ssl verify none` stand on each server, where also HAProxy 1.6
--- accepts them.
-- @param c table: the cluster's settings
-- @return string
function M.text(c)
  local lines = { GENERAL, "frontend apiserver", "  bind *:" .. c.endpoint:match(":(%d+)$"),
    "  default_backend masters", "", "backend masters", "  balance roundrobin",
    "  option httpchk GET " .. c.profile.health, "  http-check expect status 200",
    "  default-server inter 2s fall 3 rise 1" }
  for _, master in ipairs(c.masters) do
    lines[#lines + 1] = ("  server %s %s:6443 check check-ssl verify none"):format(master.name,
      master.address)
  end
  return table.concat(lines, "\n") .. "\n"
end

return M
