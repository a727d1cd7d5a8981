-- Nodes back to what they were before kubeadm. Packages, images, certificates and etcd stay.
--   kbrun playbooks/reset.lua -i inventory.yaml --limit w2 --dry-run          what would go
--   kbrun playbooks/reset.lua -i inventory.yaml --limit w2 --extra reset=yes  do it
-- Afterwards site.lua makes a node of it again.
local kb = require "kb"
local cluster, kubeadm = kb.use("cluster", "kubeadm")

kb.play { "reset", hosts = "masters:workers", become = true, serial = 1, max_fail = 0,
  function(host)
    local sure = host:var("reset")
    if host:applies() and sure ~= true and sure ~= "yes" then
      host:fail(("nothing was done: %s would be reset (kubeadm reset, its pod network, its node "
        .. "object)"):format(host.name), { hint = "--dry-run shows it; --extra reset=yes does it" })
    end
    kubeadm.remove(host, cluster.settings(host))
  end }
