--- Facts about HAProxy, from its own socket.
local kb = require "kb"

local M = {}

--- What HAProxy thinks of the servers behind it.
-- @param backend string
-- @return table: server name -> "UP", "DOWN", ...; false when HAProxy does not answer
M.servers = kb.fact {
  name = "haproxy.servers",
  command = function(backend)
    -- bash is on every Debian and can open a connection; nothing else there surely can
    return ([[bash <<'END'
exec 3<>/dev/tcp/127.0.0.1/8404 || exit 0
printf 'GET /;csv HTTP/1.0\r\n\r\n' >&3
grep '^%s,' <&3
END]]):format(backend)
  end,
  parse = function(out)
    local servers, any = {}, false
    for line in out:gmatch("[^\n]+") do
      local fields = {}
      for field in (line .. ","):gmatch("([^,]*),") do
        fields[#fields + 1] = field
      end
      if fields[2] and fields[2] ~= "BACKEND" and fields[2] ~= "FRONTEND" then
        servers[fields[2]], any = fields[18], true
      end
    end
    return any and servers
  end,
  bare = false,
}

return M
