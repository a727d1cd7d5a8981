-- Forty steps, most of which need what an earlier one made: what a dry run of them says is
-- compared with what a run does. `material` is a directory with two packages and an archive.
local kb = require "kb"
local apt, authorized_keys, command, dpkg, files = kb.use("apt", "authorized_keys", "command",
  "dpkg", "files")
local hostname, hosts, mounts, sysctl, systemd, time, users = kb.use("hostname", "hosts", "mounts",
  "sysctl", "systemd", "time", "users")

local HOME = "/srv/forty"
local RELEASE = HOME .. "/releases/one"
local DEBS = HOME .. "/debs"
local CONFIGURATION = "/etc/forty.conf"
local KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGw/MJnjsdG2TiMfVXxH/+NOktrFbyiA6KcbqZsftcTS forty"

kb.play { "account", hosts = "all", become = true, function(host)
  users.group(host, { "forty", gid = 4040 })
  users.user(host, { "forty", group = "forty", home = HOME, shell = "/bin/sh" })
  files.directory(host, { HOME, owner = "forty", group = "forty", mode = "0750" })
  users.user(host, { "forty-reader", groups = { "forty" }, system = true })
  authorized_keys.keys(host, { "forty", keys = { KEY } })
  files.directory(host, { RELEASE, owner = "forty", group = "forty" })
  files.file(host, { "/etc/sudoers.d/forty", content = "forty ALL=(root) NOPASSWD: /bin/true\n",
    mode = "0440", validate = "visudo -cf %s" })
end }

kb.play { "material", hosts = "all", become = true, function(host)
  files.directory(host, { DEBS, mode = "0755" })
  files.copy(host, { DEBS .. "/tools.deb", from = host.vars.material .. "/tools.deb" })
  files.copy(host, { DEBS .. "/data.deb", from = host.vars.material .. "/data.deb" })
  command.run(host, { ([[for f in *.deb; do
      dpkg-deb -f "$f"
      echo "Filename: ./$f"
      echo "SHA256: $(sha256sum <"$f" | cut -d' ' -f1)"
      printf 'Size: %s\n\n' "$(stat -c %s "$f")"
    done >Packages]]), cwd = DEBS, creates = DEBS .. "/Packages", title = "index the packages" })
  dpkg.packages(host, { DEBS, packages = { "forty-tools" }, held = true })
  files.absent(host, { "/etc/apt/sources.list" })
  apt.repository(host, { "forty", uris = { "file:" .. DEBS }, suites = { "./" }, trusted = true })
  apt.updated(host, { "24h" })
  apt.packages(host, { "forty-data" })
  files.archive(host, { RELEASE .. "/static", from = host.vars.material .. "/static.tar",
    holds = { "style.css" } })
  files.link(host, { HOME .. "/current", to = "releases/one" })
end }

kb.play { "configuration", hosts = "all", become = true, function(host)
  files.template(host, { RELEASE .. "/words.conf", from = "words.conf.j2",
    vars = { words = { "one", "two" } } })
  files.file(host, { CONFIGURATION, owner = "forty", mode = "0640" })
  files.line(host, { CONFIGURATION, line = "port = 8040" })
  files.line(host, { CONFIGURATION, line = "word = FORTY", after = "^port = " })
  files.block(host, { CONFIGURATION, name = "limits", block = "least = 1\nmost = 40\n" })
  files.line(host, { "/etc/host.conf", line = "multi on", state = "absent" })
  files.file(host, { RELEASE .. "/index.html", owner = "forty", group = "forty",
    content = host:fact("file.content", RELEASE .. "/words.conf"):lower() })
  command.run(host, { "mkdir -p /opt/forty && touch /opt/forty/stamp",
    unless = "test -e /opt/forty/stamp", reads = { "/opt/forty/stamp" } })
  command.run(host, { "rm /etc/issue.net", removes = "/etc/issue.net" })
end }

local SERVICE = [[
[Unit]
Description=The forty steps
[Service]
ExecStart=/bin/sh -c 'exec sleep "$$SECONDS_TO_SLEEP"'
[Install]
WantedBy=multi-user.target
]]

local TIMER = [[
[Timer]
OnCalendar=daily
Unit=forty.service
[Install]
WantedBy=timers.target
]]

-- The unit is started, then a file that it watches changes: its second step restarts it, once.
kb.play { "service", hosts = "all", become = true, function(host)
  systemd.unit_file(host, { "forty.service", content = SERVICE })
  systemd.drop_in(host, { "forty", name = "time",
    content = "[Service]\nEnvironment=SECONDS_TO_SLEEP=4000\n" })
  systemd.unit(host, { "forty", state = "running", enabled = true, watch = { CONFIGURATION } })
  files.line(host, { CONFIGURATION, line = "started = yes" })
  systemd.unit(host, { "forty", state = "running", watch = { CONFIGURATION } })
  systemd.unit_file(host, { "forty.timer", content = TIMER })
  systemd.unit(host, { "forty.timer", state = "running", enabled = true })
end }

kb.play { "machine", hosts = "all", become = true, function(host)
  sysctl.value(host, { "net.ipv4.conf.all.log_martians", value = 1 })
  sysctl.value(host, { "net.ipv4.tcp_syncookies", value = 2 })
  hosts.entry(host, { "127.0.1.1", names = { "forty-" .. host.name } })
  hostname.name(host, { "forty-" .. host.name })
  time.zone(host, { "Europe/Berlin" })
  mounts.mount(host, { HOME .. "/tmp", source = "tmpfs", type = "tmpfs", options = { "nodev" } })
end }
