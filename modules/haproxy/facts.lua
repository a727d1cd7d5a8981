--- Facts about HAProxy, from its own socket.
local kb = require "kb"
local socket = require "modules.haproxy.socket"

local M = {}

--- What HAProxy thinks of the servers behind it.
-- @param backend string
-- @return table: server name -> "UP", "DOWN", "DRAIN", "MAINT", "no check", ...; false when HAProxy
-- does not answer
M.servers = kb.fact {
  name = "haproxy.servers",
  command = function()
    return socket.ask "show stat"
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
