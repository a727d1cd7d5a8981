--- Facts about HAProxy, from its own socket.
local kb = require "kb"

local M = {}

-- perl-base is on every Debian and can open a socket; nothing else there surely can.
local function ask(words)
  return ([[perl -MSocket -e 'alarm 5; socket(S, PF_UNIX, SOCK_STREAM, 0) && connect(S,
sockaddr_un("/run/haproxy/admin.sock")) or exit 0; syswrite(S, "%s\n"); print while <S>;'
]]):format(words)
end

--- What HAProxy thinks of the servers behind it.
-- @param backend string
-- @return table: server name -> "UP", "DOWN", "DRAIN", "MAINT", "no check", ...; false when HAProxy
-- does not answer
M.servers = kb.fact {
  name = "haproxy.servers",
  command = function()
    return ask "show stat"
  end,
  parse = function(out, _, backend)
    local servers, any = {}, false
    for line in out:gmatch("[^\n]+") do
      local fields = {}
      for field in (line .. ","):gmatch("([^,]*),") do
        fields[#fields + 1] = field
      end
      if fields[1] == backend and fields[2] ~= "BACKEND" and fields[2] ~= "FRONTEND" then
        servers[fields[2]], any = fields[18]:match("^%S+"), true
      end
    end
    return any and servers
  end,
  bare = false,
}

return M
