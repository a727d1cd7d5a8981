-- Certificates: made on this machine, kept in the store that cluster.store names.
local kb = require "kb"
local cluster, pki = kb.use("cluster", "pki")

kb.play { "certificates", hosts = "masters[0]", tags = { "pki" },
  function(host)
    local c = cluster.settings(host)
    pki.store(host, { c.store, declaration = cluster.certificates(c) })
  end }
