-- The administrator's kubeconfig on the bastion; on this machine it is in the store: admin.conf.
local kb = require "kb"
local bundle, cluster, files, pki = kb.use("bundle", "cluster", "files", "pki")

kb.play { "kubeconfig", hosts = "bastion", become = true,
  needs = { "certificates", "load balancer" }, tags = { "kubeconfig" },
  function(host)
    local c = cluster.settings(host)
    bundle.installed(host, { "kubectl", path = "/var/lib/kbrun/debs", bundle = c.bundle })
    files.directory(host, { "/root/.kube", mode = "0700" })
    files.file(host, { "/root/.kube/config", mode = "0600",
      content = pki.text(c.store, "admin", ".conf") })
  end }
