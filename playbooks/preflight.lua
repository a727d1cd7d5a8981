-- What must be so before anything is touched. All checks of a host are made, and told at once.
local kb = require "kb"
local cluster, preflight = kb.use("cluster", "preflight")

kb.play { "preflight", hosts = "bastion:masters:workers", become = true, max_fail = 0,
  tags = { "preflight" },
  function(host)
    preflight.check(host, cluster.settings(host))
  end }
