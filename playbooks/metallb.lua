-- MetalLB, when the setting addons.metallb asks for it: addresses for services of type
-- LoadBalancer.
-- A warning says where layer 2 cannot work: in clouds, or when nodes are in different networks.
local kb = require "kb"
local cluster, metallb = kb.use("cluster", "metallb")

kb.play { "metallb", hosts = "masters[0]", become = true, needs = { "nodes are ready" },
  tags = { "metallb" },
  function(host)
    local c = cluster.settings(host)
    if c.addons.metallb then
      metallb.applied(host, c)
    end
  end }
