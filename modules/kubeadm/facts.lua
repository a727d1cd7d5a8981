--- Facts about what kubeadm has made of a host.
local attempt = require "modules.kubeadm.attempt"
local kb = require "kb"

local M = {}

--- How far a host is on its way into a cluster.
-- @return table: master, joined (boolean: it has the kubelet's credentials), half (boolean: an
-- attempt has failed or was broken off in the middle), running (boolean: one is under way), says
-- (why the attempt failed, as kubeadm said; absent where it said nothing)
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
    local has, says = {}, {}
    for line in out:gmatch("[^\n]+") do
      has[line] = true
      says[#says + 1] = line:match("^says%s+(.*)")
    end
    local master = has["manifests/kube-apiserver.yaml"] == true
    local joined = has["kubelet.conf"] == true
    local begun = master or joined or has["bootstrap-kubelet.conf"] == true
    local running = has.running == true
    return { master = master, joined = joined and not running, running = running,
      half = begun and not running and (has.failed == true or not joined),
      says = says[1] and table.concat(says, "\n") }
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

-- kubectl, which is there in any case, takes ten times as long.
local SERVES = [[
good() {
  if command -v openssl; then
    timeout 5 openssl s_client -connect "$address:6443" -CAfile /etc/kubernetes/pki/ca.crt \
      -verify_return_error "-verify_$1" "$2" </dev/null
  else
    kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=5s \
      --server "https://$address:6443" --tls-server-name "$2" get --raw /healthz
  fi >/dev/null 2>&1 && echo "$2"
}
]]

--- For which of some names the API server of this host serves a certificate that is good.
-- @param address string: where it is asked
-- @param names string: names and addresses, with blanks between them
-- @return table: name -> true; empty also when it does not answer
M.serves = kb.fact {
  name = "kubeadm.serves",
  costly = true, -- an address that does not answer is waited for, once for each name
  command = function(address, names)
    local lines = { "address=" .. kb.quote(address) .. "\n" .. SERVES }
    for name in names:gmatch("%S+") do
      local kind = (name:find("^[%d.]+$") or name:find(":", 1, true)) and "ip" or "hostname"
      lines[#lines + 1] = ("good %s %s\n"):format(kind, kb.quote(name))
    end
    return table.concat(lines)
  end,
  parse = function(out)
    local good = {}
    for name in out:gmatch("[^\n]+") do
      good[name] = true
    end
    return good
  end,
  bare = {},
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

--- The networks of the pods on the nodes, asked of a master.
-- @return table: node name -> "10.244.1.0/24"; one that has none yet is not in it; false when the
-- API does not answer
M.pod_cidrs = kb.fact {
  name = "kubeadm.pod_cidrs",
  command = function()
    return "kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=10s get nodes "
      .. [[-o jsonpath='{range .items[*]}{.metadata.name} {.spec.podCIDR}{"\n"}{end}' 2>/dev/null]]
  end,
  parse = function(out, code)
    local cidrs = {}
    for name, cidr in out:gmatch("(%S+) ([%d.:a-f]+/%d+)\n") do
      cidrs[name] = cidr
    end
    return code == 0 and cidrs
  end,
  bare = false,
}

return M
