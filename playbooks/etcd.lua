-- etcd: a member on every master, started side by side, since one alone is not ready. What was
-- changed later is taken up by one member after the other, and only while the others are healthy.
-- Its packages come with the runtime's; run by itself, this installs them.
local kb = require "kb"
local bundle, cluster, etcd = kb.use("bundle", "cluster", "etcd")

kb.play { "etcd", hosts = "masters", become = true, needs = { "certificates", "runtime" },
  max_fail = 0, tags = { "etcd" },
  function(host)
    local c = cluster.settings(host)
    bundle.installed(host, { { "etcd-server", "etcd-client" }, path = "/var/lib/kbrun/debs",
      bundle = c.bundle, units = { "etcd.service" } })
    etcd.member(host, c)
    etcd.gate(host, c)
  end }

kb.play { "etcd, one by one", hosts = "masters", become = true, serial = 1, max_fail = 0,
  needs = { "etcd" }, tags = { "etcd" },
  function(host)
    etcd.renewed(host, cluster.settings(host))
  end }
