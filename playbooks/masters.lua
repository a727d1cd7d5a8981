-- The control plane: the first master is initialised, the others join one by one, each behind a
-- gate. A master that fails stops the rest.
local kb = require "kb"
local cluster, haproxy, kubeadm = kb.use("cluster", "haproxy", "kubeadm")

kb.play { "first master", hosts = "masters[0]", become = true, max_fail = 0,
  needs = { "etcd", "load balancer", "images" }, tags = { "masters" },
  function(host)
    local c = cluster.settings(host)
    kubeadm.first_master(host, c)
    kubeadm.gate(host, c)
  end }

kb.play { "masters", hosts = "masters[1:]", become = true, serial = 1, max_fail = 0,
  needs = { "first master" }, tags = { "masters" },
  function(host)
    local c = cluster.settings(host)
    kubeadm.further_master(host, c)
    kubeadm.gate(host, c)
  end }

kb.play { "balanced masters", hosts = "bastion", become = true, needs = { "masters" },
  tags = { "masters" },
  function(host)
    haproxy.gate(host, kb.hosts(host, "masters"))
  end }
