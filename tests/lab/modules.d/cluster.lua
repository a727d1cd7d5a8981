-- The operations of a running cluster, on a real one.
local kb = require "kb"
local cluster, etcd, haproxy = kb.use("cluster", "etcd", "haproxy")
local kubeadm, kubeconfig, kubectl, kubelet = kb.use("kubeadm", "kubeconfig", "kubectl", "kubelet")
local metallb = kb.use "metallb"

local objects = [[
apiVersion: v1
kind: Namespace
metadata: {name: metallb-system}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: words, namespace: metallb-system}
data: {greeting: hello}
]]

kb.play { "objects", hosts = "masters[0]", become = true, function(host)
  kubectl.manifest_applied(host, { name = "objects.yaml", text = objects })
  kubectl.gate(host, { kind = "daemonset", name = "kube-proxy", namespace = "kube-system" })
  metallb.secret(host, {})
  for _, file in ipairs(host.vars.manifests) do -- as rendered; nothing has their images
    kubectl.manifest_applied(host, { name = file:match "[^/]+$", text = kb.read_file(file) })
  end
end }

kb.play { "tokens", hosts = "masters[0]", become = true, function(host)
  kubeadm.certificate_key(host, { "/etc/kubernetes/kubeadm-init.yaml" })
  local made = kubeadm.token(host, { "5m" })
  local id = kb.after(made, function(result)
    return kb.reveal(result.token):sub(1, 6)
  end)
  if not kb.is_unknown(id) then
    kubeadm.token_absent(host, { id })
  end
end }

kb.play { "members", hosts = "masters", become = true, serial = 1, function(host)
  local c = cluster.settings(host)
  kubelet.arguments(host, { node_ip = cluster.address(host), labels = { disk = "ssd" } })
  kubelet.config(host, { { maxPods = 100 } })
  kubelet.service(host)
  kb.gate(host, { "etcd is whole", fact = { "etcd.members" }, becomes = {}, holds = function(now)
    return now and now[host.name] and now[host.name].healthy
  end })
  etcd.service(host, { watch = { "/etc/default/etcd", "/etc/kubernetes/pki/ca.crt" } })
  etcd.gate(host, c)
end }

kb.play { "bastion", hosts = "bastion", become = true, function(host)
  haproxy.server(host, { "m1", state = host.vars.state })
  kubeconfig.merged(host, { "/srv/merged/config", content = kb.read_file(host.vars.kubeconfig) })
  local admin = kb.on(host, "m0", function(m0)
    return kubeconfig.fetched(m0, "/etc/kubernetes/admin.conf")
  end)
  kubeconfig.merged(host, { "/srv/fetched/config",
    content = kubeconfig.with_server(admin, "https://" .. cluster.settings(host).endpoint) })
end }
