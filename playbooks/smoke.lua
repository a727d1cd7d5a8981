-- Proof that the cluster works: a web server on several nodes, asked through every node.
local kb = require "kb"
local cluster, smoke = kb.use("cluster", "smoke")

kb.play { "smoke", hosts = "bastion", become = true,
  needs = { "nodes are ready", "kubeconfig", "balanced masters" }, tags = { "smoke" },
  function(host)
    smoke.web(host, cluster.settings(host))
  end }
