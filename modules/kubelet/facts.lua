--- Facts about the kubelet.
local kb = require "kb"

local M = {}

--- Whether the kubelet says that it is well.
-- @return boolean; false also when it does not answer
M.healthy = kb.fact {
  name = "kubelet.healthy",
  command = function()
    -- bash is on every Debian and can open a connection; nothing else there surely can
    return [[bash 2>/dev/null <<'END'
exec 3<>/dev/tcp/127.0.0.1/10248 || exit 0
printf 'GET /healthz HTTP/1.0\r\n\r\n' >&3
tail -n 1 <&3
END]]
  end,
  parse = function(out)
    return out:find("^ok") ~= nil
  end,
  bare = false,
}

--- The version of control groups that the host has: 1 or 2.
-- @return integer
M.cgroups = kb.fact {
  name = "kubelet.cgroups",
  constant = true,
  command = function()
    return "stat -f -c %T /sys/fs/cgroup"
  end,
  parse = function(out)
    return out:find("cgroup2fs", 1, true) and 2 or 1
  end,
  bare = 2,
}

--- The kubelet's arguments that kubeadm chose for this host.
-- @return table: name without dashes -> value; false when kubeadm has not been here
M.flags = kb.fact {
  name = "kubelet.flags",
  command = function()
    return "cat /var/lib/kubelet/kubeadm-flags.env 2>/dev/null"
  end,
  parse = function(out)
    local text = out:match('KUBELET_KUBEADM_ARGS="?([^"\n]*)')
    if not text then
      return false
    end
    local flags = {}
    for name, value in text:gmatch("%-%-([%w-]+)=?(%S*)") do
      flags[name] = value
    end
    return flags
  end,
  bare = false,
}

return M
