-- What must be so before anything is touched. All checks are made on all hosts, and everything that
-- was found is told at once. What is wrong with the bastion or a master stops the installation;
-- what is wrong with a worker leaves out that worker.
-- `preflight_skip: [memory]`, for a host or a group, leaves out checks: see `kbrun doc preflight`.
local kb = require "kb"
local cluster, preflight = kb.use("cluster", "preflight")

kb.play { "preflight", hosts = "bastion:masters", needs = {}, max_fail = 0, complete = true,
  tags = { "preflight" },
  function(host)
    preflight.check(host, cluster.settings(host))
  end }

kb.play { "preflight of workers", hosts = "workers", needs = {}, tags = { "preflight" },
  function(host)
    preflight.check(host, cluster.settings(host))
  end }
