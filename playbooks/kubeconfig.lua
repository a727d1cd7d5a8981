-- The administrator's kubeconfig on the bastion (another one that was there is kept beside it, with
-- the time in its name), and merged into that of this machine
-- (cluster.kubeconfig; none leaves it alone), where the API is reached as cluster.public_endpoint
-- says. What other clusters have there stays, and so does the current context.
local kb = require "kb"
local bundle, cluster, files = kb.use("bundle", "cluster", "files")
local kubeconfig, pki = kb.use("kubeconfig", "pki")

kb.play { "kubeconfig", hosts = "bastion", become = true,
  needs = { "certificates", "load balancer" }, tags = { "kubeconfig" },
  function(host)
    local c = cluster.settings(host)
    bundle.installed(host, { "kubectl", path = "/var/lib/kbrun/debs", bundle = c.bundle })
    files.directory(host, { "/root/.kube", mode = "0700" })
    files.file(host, { "/root/.kube/config", mode = "0600", backup = true,
      content = pki.text(c.store, "admin", ".conf") })
  end }

kb.play { "kubeconfig here", hosts = "localhost", needs = { "certificates" },
  tags = { "kubeconfig" },
  function(host)
    local c = cluster.settings(kb.host(host, kb.hosts(host, "masters[0]")[1]))
    if c.kubeconfig == "none" then
      return
    end
    local home = c.kubeconfig:find("^~/") and host:fact("user.self").home or ""
    kubeconfig.merged(host, { (c.kubeconfig:gsub("^~", home)),
      content = kubeconfig.with_server(pki.text(c.store, "admin", ".conf"),
        "https://" .. (c.public_endpoint or c.endpoint)) })
  end }
