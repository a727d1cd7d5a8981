-- What the hosts need of the bundle, over the operator's line once: the bastion hands it on to the
-- others. Packages go first, so that they are installed while images are still on their way.
--   kbrun playbooks/push.lua -i inventory.yaml --dry-run     how much is there to be sent?
-- What the bastion cannot hand on is sent to each host directly, and a warning says why.
local kb = require "kb"
local bundle, cluster, images = kb.use("bundle", "cluster", "images")

kb.play { "packages to hosts", hosts = "bastion:masters:workers", become = true,
  needs = { "preflight", "preflight of workers" }, tags = { "nodes", "loadbalancer" },
  function(host)
    bundle.pushed(host, { cluster.settings(host).bundle, select = bundle.is_package })
  end }

kb.play { "images to hosts", hosts = "masters:workers", become = true,
  needs = { "packages to hosts" }, tags = { "images" },
  function(host)
    bundle.pushed(host, { cluster.settings(host).bundle, select = function(item)
      return item.kind == "image" and images.is_for(host, item.name)
    end })
  end }
