-- Every operation of the modules that any playbook uses, on a node that prepare.sh has prepared.
local kb = require "kb"
local apt, dpkg, command, files, systemd = kb.use("apt", "dpkg", "command", "files", "systemd")
local users, authorized_keys = kb.use("users", "authorized_keys")
local cni, hostname, hosts, kmod, mounts = kb.use("cni", "hostname", "hosts", "kmod", "mounts")
local reset, swap, sysctl, time = kb.use("reset", "swap", "sysctl", "time")

local service = [[
[Service]
ExecStart=/bin/sleep infinity
ExecReload=/bin/true
[Install]
WantedBy=multi-user.target
]]

kb.play { "files", hosts = "all", become = true, function(host)
  files.directory(host, { "/etc/lab/below", mode = "0750" })
  files.file(host, { "/etc/lab/one", content = "1\n", mode = "0600", validate = "grep -q 1 %s" })
  files.file(host, { "/etc/lab/secret", content = kb.secret "not to be seen\n" })
  files.copy(host, { "/etc/lab/hello.j2", from = "hello.j2" })
  files.template(host, { "/etc/lab/hello", from = "hello.j2", vars = { greeting = "there" } })
  files.link(host, { "/etc/lab/link", to = "hello" })
  files.tree(host, { "/etc/lab/tree", from = host.vars.tree, owner = "daemon", mode = "0640" })
  files.tree(host, { "/srv/filled", from = host.vars.tree, dir_mode = "0700", delete = true })
  files.line(host, { "/etc/lab.lines", line = "three", match = "^two" })
  files.block(host, { "/etc/lab.lines", name = "lab", block = "a\nb\n", backup = true })
  files.absent(host, { "/srv/tree", recurse = true })
  files.archive(host, { "/opt/lab", from = host.vars.archive, strip = 1, holds = "bin/tool" })
  files.copy(host, { "/srv/archive.tar.gz", from = host.vars.archive })
  files.archive(host, { "/opt/lab2", source = "/srv/archive.tar.gz" })
  local digest = kb.file_digest(host.vars.archive)
  files.download(host, { "/opt/by-host", url = "file:///srv/archive.tar.gz", sha256 = digest })
  files.download(host, { "/opt/by-operator", url = "file://" .. host.vars.archive,
    sha256 = digest, via = "operator", mode = "0600" })
  command.run(host, { "cp /opt/lab/bin/tool /usr/local/bin/tool", creates = "/usr/local/bin/tool" })
  command.run(host, { "cat >/etc/lab/words", stdin = "words",
    unless = "grep -q words /etc/lab/words", reads = "/etc/lab/words" })
end }

kb.play { "packages", hosts = "all", become = true, function(host)
  dpkg.packages(host, { "/srv/debs", packages = "lab-needs" })
  dpkg.packages(host, { "/srv/debs", packages = "lab-quiet", start = false, held = true,
    units = "lab-quiet.service" })
  apt.repository(host, { "lab", uris = "file:/srv/repo", suites = "./", trusted = true })
  apt.updated(host, "12h")
  apt.packages(host, { { "chrony", "lab-repo=1.0" }, held = false, units = "chrony.service" })
  apt.packages(host, { "lab-latest=2.0" })
  apt.packages(host, { "lab-unwanted", state = "absent", purge = true })
end }

kb.play { "units", hosts = "all", become = true, function(host)
  systemd.unit_file(host, { "lab-new.service", content = service })
  systemd.drop_in(host, { "lab-new", name = "nice", content = "[Service]\nNice=3\n" })
  files.file(host, { "/etc/lab/watched", content = "1\n" })
  systemd.unit(host, { "lab-new", state = "running", enabled = true, watch = "/etc/lab/watched" })
  files.file(host, { "/etc/lab/reloaded", content = "1\n" })
  systemd.unit(host, { "lab-new", reload = "/etc/lab/reloaded" })
  systemd.drop_in(host, { "lab-off", name = "old", state = "absent" })
  systemd.unit(host, { "lab-off", state = "stopped", enabled = false })
  systemd.unit(host, { "lab-old", state = "stopped" })
  systemd.unit_file(host, { "lab-old.service", state = "absent" })
  systemd.unit(host, { "systemd-timesyncd", masked = true })
end }

kb.play { "users", hosts = "all", become = true, function(host)
  users.group(host, { "lab", gid = 4242 })
  users.user(host, { "ann", uid = 4243, groups = "lab", comment = "Ann", shell = "/bin/sh",
    password = kb.secret "$6$saltsalt$notahash" })
  users.user(host, { "daemonish", system = true, home = "/nonexistent" })
  authorized_keys.keys(host, { "ann", keys = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA ann" })
  users.user(host, { "old", state = "absent", remove_home = true })
  users.group(host, { "oldgroup", state = "absent" })
end }

kb.play { "machine", hosts = "all", become = true, function(host)
  hosts.entry(host, { "192.0.2.7", names = { "lab-node", "lab-node.example.org" } })
  hostname.name(host, "lab-node")
  kmod.module(host, "br_netfilter")
  sysctl.value(host, { "net.ipv4.ip_forward", value = 1 })
  sysctl.value(host, { "net.ipv4.tcp_rmem", value = "4096 131072\t6291454" })
  mounts.mount(host, { "/mnt/new", source = "tmpfs", type = "tmpfs",
    options = { "nodev", "noexec", "size=16m" } })
  mounts.mount(host, { "/mnt/bound", source = "/opt", type = "none", options = "bind" })
  mounts.mount(host, { "/mnt/old", state = "absent" })
  mounts.mount(host, { "/mnt/idle", source = "tmpfs", type = "tmpfs", state = "unmounted" })
  swap.off(host, {})
  reset.rules(host, {})
  time.zone(host, "Europe/Berlin")
  time.synchronised(host, { servers = "192.0.2.1", service = "chrony" })
end }

kb.play { "pod network", hosts = "all", become = true, function(host)
  cni.bridge(host, { "198.51.100.0/26", routes = {
    { cidr = "198.51.100.64/26", via = "192.0.2.2" } } })
  systemd.unit(host, { "pod-routes", state = "running", enabled = true,
    watch = "/etc/cni/pod-routes" })
end }
