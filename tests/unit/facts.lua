-- Facts parse what Debian's programs print; the texts below are what they printed.
local test = ...
local check = require "lib.check"
local fact = require "kb.fact"
local stub = require "lib.stub"
local sys = require "kb.core.sys"

-- The answer to a question when the host prints this.
local function parsed(name, out, code, ...)
  return fact.find(name).parse(out, code or 0, ...)
end

-- The answer of this machine.
local function asked(name, ...)
  local f = fact.find(name)
  local result = stub.shell("export LC_ALL=C; " .. f:ask(...))
  return f.parse(result.out, result.code, ...)
end

test("unit.state: a running unit, one with drop-ins, and none", function()
  check.equal(parsed("unit.state", [[
MainPID=60
LoadState=loaded
ActiveState=active
SubState=running
FragmentPath=/lib/systemd/system/ssh.service
DropInPaths=/etc/systemd/system/ssh.service.d/a.conf /etc/systemd/system/ssh.service.d/b.conf
UnitFileState=enabled
NeedDaemonReload=no
]]), { load = "loaded", active = "active", sub = "running", enabled = "enabled", pid = 60,
    needs_reload = false, path = "/lib/systemd/system/ssh.service",
    drop_ins = { "/etc/systemd/system/ssh.service.d/a.conf",
      "/etc/systemd/system/ssh.service.d/b.conf" }, restless = false })
  local none = parsed("unit.state", "MainPID=0\nLoadState=not-found\nActiveState=inactive\n"
    .. "SubState=dead\nFragmentPath=\nDropInPaths=\nUnitFileState=\nNeedDaemonReload=no\n")
  check.equal({ none.load, none.enabled, none.path, none.drop_ins }, { "not-found", "", "", {} })
  check.equal(parsed("unit.state", "", 1), nil)
end)

test("unit.state: what systemd starts again and again has not come to rest", function()
  local function restless(active, restarts, entered, up)
    return parsed("unit.state", ("LoadState=loaded\nActiveState=%s\nNRestarts=%d\n"
      .. "ActiveEnterTimestampMonotonic=%d000000\nup %d.25\n"):format(active, restarts, entered,
        up)).restless
  end
  check.equal({ restless("active", 3, 100, 110), restless("activating", 3, 100, 200),
    restless("failed", 1, 100, 200), restless("activating", 0, 0, 10) },
    { true, true, true, true })
  check.equal({ restless("active", 3, 100, 161), restless("active", 0, 100, 101),
    restless("inactive", 0, 0, 10) }, { false, false, false })
end)

test("unit.moments: with microseconds, without them, and never", function()
  local m = parsed("unit.moments", "StateChangeTimestamp=Mon 2026-11-23 16:16:39 UTC\n"
    .. "ActiveEnterTimestamp=Mon 2026-11-23 16:16:38.552783 UTC\n")
  check.equal(("%.6f %.6f"):format(m.started, m.reloaded), "1795450598.552783 1795450599.999999")
  m = parsed("unit.moments", "ActiveEnterTimestamp=\nStateChangeTimestamp=n/a\n")
  check.equal(m, { started = false, reloaded = false })
  for _, date in ipairs { "1970-01-01", "2000-02-29", "2024-02-29", "2024-03-01", "2100-03-01" } do
    local there = stub.shell("date -u -d '" .. date .. " 12:34:56' +%s").out
    m = parsed("unit.moments", ("ActiveEnterTimestamp=Mon %s 12:34:56 UTC\n"):format(date))
    check.equal(m.started // 1, tonumber(there) + 0.0, date)
  end
end)

test("dpkg.package: installed, held, removed, half-way, of two architectures, none", function()
  local function package(out)
    local p = parsed("dpkg.package", out)
    return ("%s %s %s %s"):format(p.status, p.installed, p.held, p.version)
  end
  check.equal(package "ii /5.2.15-2+b13\n", "ii true false 5.2.15-2+b13")
  check.equal(package "hi /1.0\n", "hi true true 1.0")
  check.equal(package "rc /1.0\n", "rc false false ")
  check.equal(package "iU /1.0\n", "iU false false 1.0")
  check.equal(package "un /\nii /2.0\n", "ii true false 2.0")
  check.equal(package "", "un false false ")
  check.equal(asked("dpkg.package", "dpkg").installed, true)
  check.equal(asked("dpkg.package", "no-such-package").installed, false)
end)

test("apt.candidates: one, one that cannot be installed, one that nobody knows", function()
  check.equal(parsed("apt.candidates", "jq:\n  Installed: (none)\n  Candidate: 1.6-2.1\n"
    .. "  Version table:\n     1.6-2.1 500\nawk:\n  Installed: (none)\n  Candidate: (none)\n", 0,
    "jq awk other"), { jq = "1.6-2.1", awk = false, other = false })
end)

test("apt.index: lists from before a source was changed", function()
  check.equal(parsed("apt.index", "1000\n0\n900.5\n899.9999999990\n"),
    { age = 99.5, outdated = false })
  check.equal(parsed("apt.index", "1000\n950.0\n900.5\n950.1\n"), { age = 50.0, outdated = true })
end)

test("mount.at: options of the mount and of its file system, blanks, a hidden mount", function()
  local out = "30 1 0:26 / / rw,relatime - overlay overlay rw,lowerdir=/a\n"
    .. "31 30 8:1 /sub /mnt/a\\040b rw,nosuid,noatime shared:7 master:1 - ext4 /dev/sda1 ro\n"
    .. "32 30 0:40 / /mnt/x rw - tmpfs tmpfs rw\n33 30 0:41 / /mnt/x rw,noexec - proc proc rw\n"
  local m = parsed("mount.at", out, 0, "/mnt/a b")
  check.equal({ m.source, m.type, m.root, m.options.ro, m.options.nosuid, m.options.noexec },
    { "/dev/sda1", "ext4", "/sub", true, true, false })
  check.equal(parsed("mount.at", out, 0, "/mnt/x").type, "proc")
  check.equal(parsed("mount.at", out, 0, "/mnt"), false)
  check.equal(asked("mount.at", "/proc").type, "proc")
end)

test("accounts and groups of this machine", function()
  local root = asked("user.account", "root")
  check.equal({ root.uid, root.group, root.home }, { 0, "root", "/root" })
  check.equal(asked("user.account", "nobody-of-that-name"), false)
  check.equal(asked("group.entry", "root").gid, 0)
  check.equal(asked("group.entry", "no-such-group"), false)
end)

test("sysctl.running: blanks between values, dots in names, none", function()
  check.equal(asked("sysctl.running", "kernel.ostype"), "Linux")
  check.equal(asked("sysctl.running", "kernel/ostype"), "Linux")
  check.equal(parsed("sysctl.running", "4096\t131072\t6291456\n"), "4096 131072 6291456")
  check.equal(asked("sysctl.running", "kernel.no_such_parameter"), false)
  check.contains(fact.find("sysctl.running"):ask("net/ipv4/conf/eth0.1/forwarding"),
    "/proc/sys/net/ipv4/conf/eth0.1/forwarding")
  check.contains(fact.find("sysctl.running"):ask("net.ipv4.conf.eth0/1.forwarding"),
    "/proc/sys/net/ipv4/conf/eth0.1/forwarding")
end)

test("file.changed: a file, what is below a directory, a link and where it leads", function()
  local dir = stub.shell("mktemp -d").out:gsub("\n", "")
  local _ <close> = setmetatable({}, { __close = function()
    stub.shell("rm -r " .. dir)
  end })
  stub.shell(("cd %s && mkdir d && echo >d/f && ln -s d l && touch -d 2001-01-01 d/f"):format(dir))
  local now = tonumber(stub.shell("date +%s").out)
  check.ok(math.abs(asked("file.changed", dir .. "/d/f") - now) < 100,
    "an old modification time does not hide a change")
  check.ok(asked("file.changed", dir .. "/d") >= asked("file.changed", dir .. "/d/f"))
  check.ok(asked("file.changed", dir .. "/l") >= asked("file.changed", dir .. "/d/f"))
  check.equal(asked("file.changed", dir .. "/none"), false)
end)

test("file.digest: of what is small, large, and not there", function()
  stub.with_dir(function(dir)
    for name, size in pairs { empty = 0, ["a small one"] = 1000, large = 3000000 } do
      local path = dir .. "/" .. name
      check.ok(sys.write_file(path, ("x"):rep(size)))
      local sum = stub.shell(("sha256sum '%s'"):format(path)).out:match("^%x+")
      check.equal(asked("file.digest", path), sum, name)
    end
    check.equal(asked("file.digest", dir .. "/none"), false)
    check.equal(asked("file.digest", dir), false)
  end)
end)

test("swap.active: paths with blanks", function()
  check.equal(parsed("swap.active", "/dev/sda2\tdev-sda2.swap\n/a\\040b\t\n"),
    { { path = "/dev/sda2", unit = "dev-sda2.swap" }, { path = "/a b", unit = "" } })
end)
