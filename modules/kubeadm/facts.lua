--- Facts about what kubeadm has made of a host.
local attempt = require "modules.kubeadm.attempt"
local kb = require "kb"

local M = {}

--- How far a host is on its way into a cluster.
-- @return table: master, joined (boolean: it has the kubelet's credentials), half (boolean: an
-- attempt has failed or was broken off in the middle), running (boolean: one is under way)
M.node = kb.fact {
  name = "kubeadm.node",
  command = function()
    return attempt.state() .. [[

cd /etc/kubernetes 2>/dev/null || exit 0
for f in manifests/kube-apiserver.yaml admin.conf kubelet.conf bootstrap-kubelet.conf; do
  [ -s "$f" ] && echo "$f"
done
[ -e /var/lib/kubelet/pki/kubelet-client-current.pem ] && echo client
true]]
  end,
  parse = function(out)
    local has = {}
    for line in out:gmatch("[^\n]+") do
      has[line] = true
    end
    local master = has["manifests/kube-apiserver.yaml"] == true
    local joined = has["kubelet.conf"] == true
    local begun = master or joined or has["bootstrap-kubelet.conf"] == true
    local running = has.running == true
    return { master = master, joined = joined and not running, running = running,
      half = begun and not running and (has.failed == true or not joined) }
  end,
  bare = { master = false, joined = false, half = false, running = false },
}

--- What the API server of this host says of its health.
-- @param path string: "/readyz"
-- @return string: "ok"; false when it does not answer so
M.api = kb.fact {
  name = "kubeadm.api",
  command = function(path)
    return "kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=5s get --raw "
      .. kb.quote(path) .. " --server https://$(hostname):6443 "
      .. "--insecure-skip-tls-verify 2>/dev/null"
  end,
  parse = function(out)
    return out:find("^ok") and "ok" or false
  end,
  bare = false,
}

--- Whether the API server of this host serves a certificate that is good for a name.
-- @param address string: where it is asked
-- @param name string: a name or an address
-- @return boolean; false also when it does not answer
M.serves = kb.fact {
  name = "kubeadm.serves",
  command = function(address, name)
    return ("kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=5s --server "
      .. "https://%s:6443 --tls-server-name %s get --raw /healthz 2>/dev/null"):format(
        kb.quote(address), kb.quote(name))
  end,
  parse = function(out)
    return out:find("^ok") ~= nil
  end,
  bare = false,
}

--- The tokens to join with, asked of a master.
-- @return table: the id of a token (its part before the dot) -> true; false when the API does not
-- answer
M.tokens = kb.fact {
  name = "kubeadm.tokens",
  command = function()
    return "kubeadm --kubeconfig /etc/kubernetes/admin.conf token list 2>/dev/null"
  end,
  parse = function(out, code)
    local tokens = {}
    for id in out:gmatch("%f[%w](" .. ("[%l%d]"):rep(6) .. ")%." .. ("%w"):rep(16)) do
      tokens[id] = true
    end
    return code == 0 and tokens
  end,
  bare = false,
}

--- The nodes of the cluster, asked of a master.
-- @return table: node name -> "Ready", "NotReady"; false when the API does not answer
M.nodes = kb.fact {
  name = "kubeadm.nodes",
  command = function()
    return "kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=10s get nodes "
      .. "--no-headers 2>/dev/null"
  end,
  parse = function(out, code)
    local nodes = {}
    for name, status in out:gmatch("(%S+)%s+(%S+)[^\n]*\n") do
      nodes[name] = status:match("^[^,]+")
    end
    return code == 0 and nodes
  end,
  bare = false,
}

--- The network of the pods on a node, asked of a master.
-- @param name string: the node
-- @return string "10.244.1.0/24"; false when it has none yet
M.pod_cidr = kb.fact {
  name = "kubeadm.pod_cidr",
  command = function(name)
    return "kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=10s get node "
      .. kb.quote(name) .. " -o jsonpath='{.spec.podCIDR}' 2>/dev/null"
  end,
  parse = function(out)
    return out:match("^%s*([%d.:a-f]+/%d+)") or false
  end,
  bare = false,
}

return M
