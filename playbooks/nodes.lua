-- What every node needs before Kubernetes: names, kernel settings, packages.
local kb = require "kb"
local bundle, cluster, command, files = kb.use("bundle", "cluster", "command", "files")

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

kb.play { "names", hosts = "bastion:masters:workers", become = true, needs = { "preflight" },
  tags = { "nodes" },
  function(host)
    names(host, cluster.settings(host))
  end }

kb.play { "nodes", hosts = "masters:workers", become = true, needs = { "preflight" },
  tags = { "nodes" },
  function(host)
    local c = cluster.settings(host)
    command.run(host, { "swapoff -a", only_if = "swapon --noheadings | grep -q .",
      title = "switch swap off" })
    files.line(host, { "/etc/fstab", match = "^[^#].*%sswap%s", state = "absent", create = true })
    files.file(host, { "/etc/modules-load.d/kubernetes.conf", content = "overlay\nbr_netfilter\n" })
    command.run(host, { "modprobe overlay && modprobe br_netfilter",
      unless = "grep -q overlay /proc/filesystems && test -e /proc/sys/net/bridge",
      title = "load the kernel modules overlay and br_netfilter" })
    files.file(host, { "/etc/sysctl.d/90-kubernetes.conf", content = [[
net.ipv4.ip_forward = 1
net.bridge.bridge-nf-call-iptables = 1
]] })
    command.run(host, { "sysctl -q -p /etc/sysctl.d/90-kubernetes.conf",
      unless = "test $(sysctl -n net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables "
        .. "| grep -c 1) = 2",
      title = "apply the kernel settings" })
    bundle.packages(host, { "/var/lib/kbrun/debs", bundle = c.bundle })
  end }
