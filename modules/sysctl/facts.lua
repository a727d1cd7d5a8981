--- Facts about kernel parameters.
local kb = require "kb"

local M = {}

--- The file of a kernel parameter: `net.ipv4.ip_forward`, or with slashes where a name has dots of
-- its own: `net/ipv4/conf/eth0.1/forwarding`.
-- @param key string
-- @return string: its path
function M.path(key)
  local first = key:match("[./]")
  local swap = first == "." and { ["."] = "/", ["/"] = "." } or {}
  return "/proc/sys/" .. key:gsub("[./]", swap)
end

--- The running value of a kernel parameter, with single spaces between its parts.
-- @param key string
-- @return string; false when the kernel has none of that name
M.running = kb.fact {
  name = "sysctl.running",
  command = function(key)
    local path = kb.quote(M.path(key))
    return ("if [ -e %s ]; then cat %s; else exit 3; fi"):format(path, path)
  end,
  parse = function(out, code)
    if code == 3 then
      return false
    elseif code ~= 0 then
      return nil, "the parameter cannot be read"
    end
    return (out:gsub("%s+$", ""):gsub("%s+", " "))
  end,
}

return M
