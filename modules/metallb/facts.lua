--- Facts that decide whether addresses can be announced on layer 2.
local kb = require "kb"

local M = {}

--- Who made the machine, as its firmware says.
-- @return string: "Alibaba Cloud", "QEMU"; "" when it does not say
M.maker = kb.fact {
  name = "metallb.maker",
  constant = true,
  command = function()
    return "cat /sys/class/dmi/id/sys_vendor 2>/dev/null"
  end,
  parse = function(out)
    return out:match("^%s*(.-)%s*$")
  end,
  bare = "",
}

--- The network that an address of the machine is in.
-- @param address string
-- @return string: "10.0.0.5/24"; false when no interface has the address
M.network = kb.fact {
  name = "metallb.network",
  command = function(address)
    return "ip -4 -o addr show to " .. kb.quote(address) .. " 2>/dev/null"
  end,
  parse = function(out)
    return out:match("inet (%d+%.%d+%.%d+%.%d+/%d+)") or false
  end,
  bare = false,
}

--- Whether the secret is there that MetalLB's speakers know each other by, asked of a master.
-- @param namespace string: MetalLB's
-- @return boolean; false also when the API does not answer
M.has_secret = kb.fact {
  name = "metallb.secret",
  command = function(namespace)
    return "kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=20s --namespace "
      .. kb.quote(namespace) .. " get secret memberlist -o name 2>/dev/null"
  end,
  parse = function(out)
    return out:find("^secret/memberlist") ~= nil
  end,
  bare = false,
}

return M
