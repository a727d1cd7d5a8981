-- A bundle on all nodes, by way of the bastion, which needs nothing itself: tests/bench/relay.
local kb = require "kb"
local bundle = kb.use "bundle"

kb.play { "push", hosts = "bastion:masters:workers", become = true,
  function(host)
    local from = host.vars.bundle
    if host:in_group "bastion" then
      bundle.pushed(host, { from, select = function() return false end })
    else
      bundle.pushed(host, { from, relay = host:var "relay" })
    end
  end }
