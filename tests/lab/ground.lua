-- The lab itself: it comes, it is what it says, it goes and leaves nothing.
local test = ...
local check = require "lib.check"
local labs = require "lib.lab"
local program = require "lib.program"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local function sh(text)
  local r = program.run { "bash", "-c", text }
  return r.out, r.status
end

local function subnet(lab)
  return lab:run("inventory"):match "ansible_host: (10%.83%.%d+)%."
end

-- The lab's processes, each with its start time, as a pid may be used again.
local function processes(name)
  return (sh(([[
    cat $(find /sys/fs/cgroup -path '*kbrun-lab.%s/*' -name cgroup.procs) | sort -u |
      while read -r pid; do echo $pid $(cut -d' ' -f22 /proc/$pid/stat); done]]):format(name)))
end

-- A zombie has ended; it waits for this machine's init to look.
local function still_there(listing)
  local left = {}
  for pid, started in listing:gmatch "(%d+) (%d+)" do
    local stat = sys.read_file("/proc/" .. pid .. "/stat") or ""
    local now = stat:match("^%d+ %(.*%) " .. ("%S+ "):rep(19) .. "(%d+)")
    if now == started and not stat:find "%) Z " then
      left[#left + 1] = stat
    end
  end
  return table.concat(left)
end

-- Everything on this machine that bears the lab's name, directory or number.
local function traces(name, net)
  local number = net:match "%d+$"
  local marks = { "kbrun-lab." .. name, "kbrun-lab/" .. name .. "/", "kbrun-" .. name .. "-",
    "kb" .. number .. "-", net .. "." }
  return (sh(([[
    { ps -ewwo args; cat /proc/mounts; ip -o link; ip -o address; ip route; iptables -S
      losetup --list; find /sys/fs/cgroup -type d; find /var/lib/kbrun-lab -maxdepth 1
    } 2>/dev/null | grep -F -e '%s' | grep -v -e 'grep -F' -e 'bash -c']])
    :format(table.concat(marks, "' -e '"))))
end

test("a lab comes and goes three times and leaves nothing", function()
  for _ = 1, 3 do
    local name, net, running
    do
      local lab <close> = labs.open("ground", { "a0", "m0", "w0" })
      name, net, running = lab.name, subnet(lab), processes(lab.name)
      check.equal(select(2, running:gsub("\n", "\n")) > 10, true, "processes seen")
      check.equal(traces(name, net) ~= "", true, "traces seen")
    end
    check.equal(still_there(running), "")
    check.equal(traces(name, net), "")
  end
end)

test("up again changes nothing, and seven nodes answer in time", function()
  local begun = task.now()
  local lab <close> = labs.open("ground", {})
  check.equal(task.now() - begun < 60, true, "seven nodes in 60 s")
  local boot = lab:ssh("w2", "cat /etc/machine-id; systemctl show -P UserspaceTimestampMonotonic")
  lab:run("up")
  check.equal(
    lab:ssh("w2", "cat /etc/machine-id; systemctl show -P UserspaceTimestampMonotonic"), boot)
  local ids = {}
  for _, node in ipairs { "a0", "m0", "m1", "m2", "w0", "w1", "w2" } do
    check.equal(lab:ssh(node, "hostname"), node .. "\n")
    local id = lab:ssh(node, "cat /etc/machine-id")
    check.equal(ids[id], nil, "the machine id of " .. node .. " is another's")
    ids[id] = node
    local key = lab:ssh(node, "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub")
    check.equal(lab:run("inventory"):find("host_key: " .. key, 1, true) ~= nil, true, node)
    check.equal(lab:ssh(node, "command -v docker kubelet python3 || true"), "")
  end
end)

test("the masters are behind a0, and nothing leads out of there", function()
  local lab <close> = labs.open("ground", { "a0", "m0", "w0" })
  local direct = program.run { "ssh", "-F", lab:run("ssh-config"):gsub("\n", ""),
    "-o", "ProxyJump=none", "m0", "true" }
  check.equal(direct.status, 255)
  check.equal(direct.err:find("No route to host", 1, true) ~= nil, true, direct.err)
  check.equal(lab:ssh("m0", "echo in"), "in\n")
  -- What this machine's packages come from, it reaches; the nodes do not.
  local host = sh [[apt-get indextargets 'Origin: Debian' --format '$(SITE)' |
    sed 's|.*//||; s|[:/].*||' | head -1]]:gsub("\n", "")
  check.ok(host ~= "", "apt has no sources")
  local mirror = sh("getent ahostsv4 " .. host .. " | cut -d' ' -f1 | head -1"):gsub("\n", "")
  if mirror == "" then
    mirror = "192.0.2.1"
  end
  local connect = "timeout 3 bash -c 'exec 3<>/dev/tcp/" .. mirror .. "/80' 2>&1 && echo reached"
  for _, node in ipairs { "a0", "m0", "w0" } do
    local r = lab:try("ssh", node, connect)
    check.equal(r.status ~= 0 and not r.out:find "reached", true, node .. " reaches " .. mirror)
    check.equal(lab:try("ssh", node, "getent hosts " .. host).status, 2)
  end
end)

test("ops is the only way in, with a password for sudo on the masters alone", function()
  local lab <close> = labs.open("ground", { "a0", "m0", "w0" })
  check.equal(lab:try("ssh", "m0", "sudo -n true").status, 1)
  local password = lab:run("inventory"):match 'ansible_become_password: "(.-)"'
  local r = program.run({ sys.realpath "tests/lab/lab", "--name", lab.name, "ssh", "m0",
    "sudo -S -p '' id -un" }, { input = password .. "\n" })
  check.equal(r.out, "root\n")
  check.equal(lab:ssh("w0", "sudo -n id -un"), "root\n")
  check.equal(lab:ssh("a0", "sudo -n id -un"), "root\n")
  check.equal(lab:try("ssh", "w0", "-l", "root", "true").status, 255)
end)

test("a reset node is bare and itself again", function()
  local lab <close> = labs.open("ground", { "a0", "w0" })
  local before = lab:run("inventory"):match "w0:\n *(ansible_host: %S+)"
  lab:ssh("w0", "sudo touch /etc/changed")
  lab:run("reset", "w0")
  check.equal(lab:try("ssh", "w0", "test -e /etc/changed").status, 1)
  check.equal(lab:run("inventory"):match "w0:\n *(ansible_host: %S+)", before)
end)

test("a lab whose processes were killed is removed, and made again", function()
  local lab <close> = labs.open("ground", { "a0", "w0" })
  local net, running = subnet(lab), processes(lab.name)
  -- Both who watch over w0, and nothing else: its systemd lives on.
  local nspawn = sys.read_file("/var/lib/kbrun-lab/" .. lab.name .. "/nodes/w0/nspawn"):match "%d+"
  local parent = sys.read_file("/proc/" .. nspawn .. "/stat"):match "^%d+ %(.-%) %S (%d+)"
  sh("kill -9 " .. parent .. " " .. nspawn)
  lab:run("up", "a0", "w0")
  check.equal(lab:ssh("w0", "hostname"), "w0\n")
  lab:run("down")
  check.equal(still_there(running), "")
  check.equal(traces(lab.name, net), "")
end)

test("labs side by side do not meet", function()
  local one <close> = labs.open("one", { "a0" })
  local two <close> = labs.open("two", { "a0", "w0" })
  check.equal(subnet(one) ~= subnet(two), true)
  one:run("down")
  check.equal(two:ssh("w0", "hostname"), "w0\n")
end)

test("bad input is refused with what was expected, and makes nothing", function()
  local name = labs.name "refused"
  local function refused(want, ...)
    local r = program.run { "tests/lab/lab", "--name", name, ... }
    check.equal(r.status ~= 0 and r.err:find(want, 1, true) ~= nil, true, want .. ": " .. r.err)
  end
  refused("no such kind of node: 'x9' (a0, m0 to m2, w0 to w112)", "up", "x9")
  refused("--workers takes 0 to 113, not 'many'", "up", "--workers", "many")
  refused("up: unknown option '--fast'", "up", "--fast")
  refused("there is no lab '" .. name .. "'; make it with:", "status")
  refused("unknown command 'upp'", "upp")
  refused("inventory: unknown option '-x'", "inventory", "-x")
  check.equal(sys.stat("/var/lib/kbrun-lab/" .. name), nil)
  local r = program.run { "tests/lab/lab", "--name", "Bad", "status" }
  check.equal(r.err:find("'Bad' cannot name a lab", 1, true) ~= nil, true, r.err)
end)
