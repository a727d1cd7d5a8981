-- The pod network, and the gate that all nodes are Ready.
local kb = require "kb"
local cluster, cni, kubeadm = kb.use("cluster", "cni", "kubeadm")

kb.play { "pod network", hosts = "masters:workers", become = true,
  needs = { "masters", "workers" }, tags = { "cni" },
  function(host)
    if cluster.settings(host).cni == "bridge" then
      cni.node(host)
    end
  end }

kb.play { "nodes are ready", hosts = "masters[0]", become = true, needs = { "pod network" },
  tags = { "cni" },
  function(host)
    local names = kb.hosts(host, "masters")
    for _, name in ipairs(kb.hosts(host, "workers")) do
      names[#names + 1] = name
    end
    kubeadm.nodes_gate(host, names)
  end }
