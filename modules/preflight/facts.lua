--- What a host is, before anything is done to it.
local kb = require "kb"

local M = {}

--- What the checks before a cluster need to know of a host.
-- @return table: root (boolean), id, version (of the system: "debian", "12"), arch ("x86_64"),
-- cores, memory, disk (MB; disk is what is free below /var/lib), hostname, machine_id, clock
-- (seconds since 1970), skew (its difference from the operator's clock, seconds)
M.host = kb.fact {
  name = "preflight.host",
  costly = true, -- asked by itself: what is asked beside it would count as time on the way
  command = function()
    return [[. /etc/os-release
echo "root $([ "$(id -u)" = 0 ] && echo yes || echo no)"
echo "id $ID"
echo "version $VERSION_ID"
echo "arch $(uname -m)"
echo "cores $(getconf _NPROCESSORS_ONLN)"
echo "memory $(awk '/^MemTotal/ {print int($2 / 1024)}' /proc/meminfo)"
echo "disk $(df -Pm /var/lib | awk 'NR == 2 {print $4}')"
echo "hostname $(hostname)"
echo "machine_id $(cat /etc/machine-id)"
echo "clock $(date +%s)"]]
  end,
  parse = function(out)
    local host = {}
    for key, value in out:gmatch("(%S+) ([^\n]*)\n") do
      host[key] = value
    end
    for _, key in ipairs { "cores", "memory", "disk", "clock" } do
      host[key] = math.tointeger(tonumber(host[key])) or 0
    end
    host.root = host.root == "yes"
    host.skew = math.abs(host.clock - os.time())
    return host
  end,
  bare = { root = true, id = "debian", version = "12", arch = "x86_64", cores = 2, memory = 4096,
    disk = 40000, hostname = "bare", machine_id = "", clock = 0, skew = 0 },
}

return M
