-- Proof that the cluster works: a web server on several nodes that answers every node, pods that
-- reach each other, logs, commands and a secret in a pod, and the API while one master hangs. What
-- that takes is removed afterwards. It is done when the run has changed something or the nodes were
-- not proven so far, and whenever this playbook is run by itself.
-- Settings: `cluster: {smoke: {image, keep, node_port, stop_master}}`.
local kb = require "kb"
local cluster, smoke = kb.use("cluster", "smoke")

kb.play { "smoke", hosts = "bastion", become = true,
  needs = { "nodes are ready", "kubeconfig", "balanced masters" }, tags = { "smoke" },
  function(host)
    local c = cluster.settings(host)
    if c.cni ~= "none" or kb.alone(host) then -- a network of one's own may not be there yet
      smoke.cluster(host, c)
    end
  end }
