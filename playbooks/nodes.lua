-- What every node needs before Kubernetes: names, kernel settings, packages.
local kb = require "kb"
local bundle, cluster, files = kb.use("bundle", "cluster", "files")
local kmod, swap, sysctl = kb.use("kmod", "swap", "sysctl")

-- Everybody knows everybody by name, without a name server.
local function names(host, c)
  local lines = {}
  for _, group in ipairs { "bastion", "masters", "workers" } do
    for _, name in ipairs(kb.hosts(host, group)) do
      lines[#lines + 1] = cluster.address(kb.host(host, name)) .. " " .. name
    end
  end
  files.block(host, { "/etc/hosts", name = c.name, block = table.concat(lines, "\n"),
    create = true })
end

kb.play { "names", hosts = "bastion:masters:workers", become = true,
  needs = { "preflight", "preflight of workers" }, tags = { "nodes" },
  function(host)
    names(host, cluster.settings(host))
  end }

kb.play { "nodes", hosts = "masters:workers", become = true, needs = { "packages to hosts" },
  tags = { "nodes" },
  function(host)
    local c = cluster.settings(host)
    swap.off(host, {})
    kmod.module(host, { "overlay" })
    kmod.module(host, { "br_netfilter" })
    sysctl.value(host, { "net.ipv4.ip_forward", value = 1 })
    sysctl.value(host, { "net.bridge.bridge-nf-call-iptables", value = 1 })
    bundle.packages(host, { "/var/lib/kbrun/debs", bundle = c.bundle })
  end }
