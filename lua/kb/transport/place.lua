--- What an error calls a host, once: its name, with its address where that is another one.

local M = {}

--- A host's name and where it is.
-- @param target table: address, port (22), name (or nil)
-- @return string: "web1 (10.0.0.5)", "web1 (10.0.0.5:2222)", "ops@10.0.0.5:2222",
-- "10.0.0.5 (port 2222)"
function M.of(target)
  local address = target.address:find ":" and ("[%s]"):format(target.address) or target.address
  local port = (target.port or 22) ~= 22 and target.port or nil
  local place = port and ("%s:%d"):format(address, port) or address
  local name = target.name or place
  local host = name:match "@(.+)$" or name
  if host == place or host == target.address and not port then
    return name
  end
  return ("%s (%s)"):format(name, host == target.address and "port " .. port or place)
end

return M
