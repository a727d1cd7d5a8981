-- Nodes, or the whole cluster, back to what they were before it. It says first what will be removed
-- on which host, and asks; `--yes` answers, and without a terminal it must.
--   kbrun playbooks/reset.lua -i inventory.yaml --dry-run            what would go
--   kbrun playbooks/reset.lua -i inventory.yaml --limit w2           one node
--   kbrun playbooks/reset.lua -i inventory.yaml --extra reset_etcd=yes        all, and etcd's data
--   kbrun playbooks/reset.lua -i inventory.yaml --extra reset_packages=yes    and what it installed
-- Certificates and all foreign rules of the packet filter stay; so do packages, images and etcd's
-- data, unless told otherwise. Afterwards site.lua makes a cluster of it again.
local kb = require "kb"
local cluster, reset = kb.use("cluster", "reset")

local found = {} -- host -> what it has

kb.play { "what is there", hosts = "bastion:masters:workers", become = true, tags = { "reset" },
  function(host)
    found[host.name] = reset.found(host, cluster.settings(host))
  end }

local function confirmed(host)
  local c = cluster.settings(host)
  reset.check(host, c, found)
  kb.confirm(host, { "Remove this?", text = reset.listing(found, c) })
  return c
end

kb.play { "reset of workers", hosts = "workers", become = true, needs = { "what is there" },
  asks = true, tags = { "reset" },
  function(host)
    reset.node(host, confirmed(host))
  end }

kb.play { "reset of masters", hosts = "masters", become = true, needs = { "reset of workers" },
  asks = true, serial = 1, max_fail = 0, tags = { "reset" },
  function(host)
    reset.node(host, confirmed(host))
  end }

kb.play { "reset of etcd", hosts = "masters", become = true, needs = { "reset of masters" },
  asks = true, tags = { "reset" },
  function(host)
    reset.etcd(host, confirmed(host))
  end }

kb.play { "reset of the bastion", hosts = "bastion", become = true, needs = { "reset of masters" },
  asks = true, tags = { "reset" },
  function(host)
    confirmed(host)
    reset.bastion(host)
  end }

kb.play { "removal of packages", hosts = "bastion:masters:workers", become = true,
  needs = { "reset of etcd", "reset of the bastion" }, asks = true, tags = { "reset" },
  function(host)
    confirmed(host)
    reset.packages(host)
  end }
