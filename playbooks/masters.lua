-- The control plane: the first master is initialised, the others follow one by one, each behind
-- gates: its API is ready, serves a certificate that is good for every name it is called by, and
-- HAProxy sees it. A master that fails stops the rest. `cluster.certificates` says how the others
-- come to theirs: copy, upload-certs or init-each. What needs no turn is done while the first one
-- is made.
local kb = require "kb"
local cluster, haproxy, kubeadm, kubelet = kb.use("cluster", "haproxy", "kubeadm", "kubelet")

local function gates(host, c, made)
  kubelet.service(host, made.changed)
  kubeadm.gate(host, c)
  for _, balancer in ipairs(kb.hosts(host, "bastion")) do
    kb.on(host, balancer, function(a0)
      haproxy.gate(a0, { host.name })
    end)
  end
end

kb.play { "first master", hosts = "masters[0]", become = true, max_fail = 0,
  needs = { "etcd", "load balancer", "images" }, tags = { "masters" },
  function(host)
    local c = cluster.settings(host)
    kubelet.configured(host, c)
    gates(host, c, kubeadm.first_master(host, c))
  end }

kb.play { "preparation of masters", hosts = "masters[1:]", become = true, max_fail = 0,
  needs = { "etcd" }, tags = { "masters" },
  function(host)
    local c = cluster.settings(host)
    kubelet.configured(host, c)
    kubeadm.prepared_master(host, c)
  end }

kb.play { "masters", hosts = "masters[1:]", become = true, serial = 1, max_fail = 0,
  needs = { "first master", "preparation of masters" }, tags = { "masters" },
  function(host)
    local c = cluster.settings(host)
    gates(host, c, kubeadm.further_master(host, c))
  end }

kb.play { "balanced masters", hosts = "bastion", become = true, needs = { "masters" },
  tags = { "masters" },
  function(host)
    haproxy.gate(host, kb.hosts(host, "masters"))
  end }
