--- What there is of a cluster on a host.
local kb = require "kb"

local M = {}

-- Docker's and containerd's kube-proxy may each bring iptables of their own: the tables of both
-- kinds are asked, with the tools that the host has.
M.TOOLS = "iptables-nft iptables-legacy ip6tables-nft ip6tables-legacy"

local FOUND = [[for path in /etc/kubernetes /var/lib/kubelet; do
  if [ -n "$(ls -A "$path" 2>/dev/null)" ]; then echo "path $path"; fi
done
for path in /etc/cni/net.d/10-bridge.conflist /etc/systemd/system/pod-routes.service \
  /root/.kube/config /root/.kube/cache /var/lib/kbrun/smoke; do
  if [ -e "$path" ]; then echo "path $path"; fi
done
if [ -e /sys/class/net/cni0 ]; then echo "interface cni0"; fi
pods=$({ docker ps -q --filter name=k8s_POD 2>/dev/null
  ctr -n k8s.io tasks ls -q 2>/dev/null; } | wc -l)
if [ "$pods" -gt 0 ]; then echo "pods $pods"; fi
if [ -d %s ]; then echo "etcd $(du -sm %s | cut -f1)"; fi]]

--- What there is of a cluster on a host.
-- @param data string: the directory of etcd's data
-- @return table: paths (list), interfaces (list), pods (integer), etcd (MB of data; nil: none)
M.found = kb.fact {
  name = "reset.found",
  command = function(data)
    return FOUND:format(kb.quote(data), kb.quote(data))
  end,
  parse = function(out)
    local found = { paths = {}, interfaces = {}, pods = 0 }
    for kind, value in out:gmatch("(%S+) ([^\n]+)\n") do
      if kind == "path" or kind == "interface" then
        table.insert(found[kind .. "s"], value)
      else
        found[kind] = math.tointeger(tonumber(value)) or 0
      end
    end
    return found
  end,
  bare = { paths = {}, interfaces = {}, pods = 0 },
}

--- How many chains of Kubernetes and its pod network are in the packet filter.
-- @return integer
M.chains = kb.fact {
  name = "reset.chains",
  command = function()
    return ([[for tool in %s; do
  command -v "$tool-save" >/dev/null && "$tool-save" 2>/dev/null
done | grep -cE '^:(KUBE|CNI)-' || true]]):format(M.TOOLS)
  end,
  parse = function(out)
    return math.tointeger(tonumber(out))
  end,
  bare = 0,
}

return M
