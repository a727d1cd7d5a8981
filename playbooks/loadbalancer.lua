-- HAProxy on the bastion in front of the API servers.
local kb = require "kb"
local bundle, cluster, haproxy = kb.use("bundle", "cluster", "haproxy")

kb.play { "load balancer", hosts = "bastion", become = true,
  needs = { "names", "packages to hosts" }, tags = { "loadbalancer" },
  function(host)
    local c = cluster.settings(host)
    bundle.packages(host, { "/var/lib/kbrun/debs", bundle = c.bundle })
    bundle.installed(host, { "haproxy", path = "/var/lib/kbrun/debs", bundle = c.bundle,
      units = { "haproxy.service" }, directories = { "/etc/haproxy" } })
    haproxy.balancer(host, c)
  end }
