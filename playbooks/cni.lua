-- The pod network, and the gate that all nodes are Ready. `bridge` is made on each node; the others
-- are applied from a manifest, once, with the images that the bundle has brought.
local kb = require "kb"
local cluster, cni, kubeadm = kb.use("cluster", "cni", "kubeadm")

kb.play { "pod network", hosts = "masters:workers", become = true,
  needs = { "masters", "workers" }, tags = { "cni" },
  function(host)
    local c = cluster.settings(host)
    if c.cni == "bridge" then
      cni.node(host)
      cni.others(host)
    elseif c.cni ~= "none" and host.name == c.masters[1].name then
      cni.applied(host, c)
    end
  end }

-- A node that does not become Ready is left out; the others go on.
kb.play { "nodes are ready", hosts = "masters:workers", become = true, needs = { "pod network" },
  tags = { "cni" },
  function(host)
    local c = cluster.settings(host)
    if c.cni ~= "none" then -- else they are when their owner has brought a network
      kubeadm.ready(host, c)
    end
  end }
