-- What can be done to a lab's nodes, and undone.
local test = ...
local check = require "lib.check"
local labs = require "lib.lab"
local program = require "lib.program"
local task = require "kb.core.task"

local function answers(lab, node)
  return lab:try("ssh", node, "-o", "ConnectTimeout=2", "true").status == 0
end

local function seconds(f, ...)
  local begun = task.now()
  f(...)
  return task.now() - begun
end

-- Send so many random bytes to a0.
local function send(lab, megabytes)
  local r = program.run { "bash", "-c", ("set -o pipefail; head -c %d000000 /dev/urandom |"
    .. " ssh -F $(tests/lab/lab --name %s ssh-config) a0 'cat >/dev/null'"):format(
    megabytes, lab.name) }
  check.equal(r.status, 0, r.err)
end

test("a node is cut off and healed", function()
  local lab <close> = labs.open("faults", { "a0", "w0" })
  local boot = lab:ssh("w0", "cat /proc/sys/kernel/random/boot_id; cat /etc/machine-id")
  lab:run("cut", "w0")
  check.equal(answers(lab, "w0"), false)
  check.equal(answers(lab, "a0"), true)
  check.equal(lab:run("status"):find "w0 .* cut\n" ~= nil, true)
  lab:run("heal", "w0")
  check.equal(lab:ssh("w0", "cat /proc/sys/kernel/random/boot_id; cat /etc/machine-id"), boot)
end)

test("a node loses power and starts with the disk it had", function()
  local lab <close> = labs.open("faults", { "a0", "w0" })
  lab:ssh("w0", "echo kept >kept; sync; touch /tmp/gone")
  lab:run("kill", "w0")
  check.equal(answers(lab, "w0"), false)
  check.equal(lab:run("status"):find "w0 +off" ~= nil, true)
  lab:run("start", "w0")
  check.equal(lab:ssh("w0", "cat kept; ls /run/nologin 2>/dev/null || true"), "kept\n")
end)

test("a node reboots by itself and is back on its network", function()
  local lab <close> = labs.open("faults", { "a0", "w0" })
  local question = "systemctl show -P UserspaceTimestampMonotonic"
  local before = lab:ssh("w0", question)
  lab:try("ssh", "w0", "sudo systemctl reboot")
  labs.await(60, "w0 to come back", function()
    local r = lab:try("ssh", "w0", "-o", "ConnectTimeout=2", question)
    return r.status == 0 and r.out ~= before
  end)
end)

test("a disk is full, and free again", function()
  local lab <close> = labs.open("faults", { "a0", "w0" })
  lab:run("fill", "w0")
  local r = lab:try("ssh", "w0", "LC_ALL=C dd if=/dev/zero of=more bs=4k count=4")
  check.equal(r.err:find("No space left on device", 1, true) ~= nil, true, r.err)
  check.equal(lab:run("status"):find "w0 .* filled\n" ~= nil, true)
  lab:run("unfill", "w0")
  lab:ssh("w0", "dd if=/dev/zero of=more bs=4k count=4 2>/dev/null")
end)

test("the uplink is limited, and its bytes are counted", function()
  local lab <close> = labs.open("faults", { "a0" })
  local free = seconds(send, lab, 2)
  lab:run("limit", "4mbit")
  local before = tonumber(lab:run("bytes"):match "sent (%d+)")
  local limited = seconds(send, lab, 2)
  local sent = tonumber(lab:run("bytes"):match "sent (%d+)") - before
  check.equal(sent > 2000000 and sent < 2400000, true, "bytes sent: " .. sent)
  -- 2 MB are 16 Mbit.
  check.equal(limited > 3.5 and limited < 20, true, "seconds: " .. limited)
  lab:run("limit", "off")
  check.equal(seconds(send, lab, 2) < limited - free, true)
  check.equal(lab:try("limit", "fast").status, 1)
end)

test("the uplink is delayed each way, also over a reboot of a0", function()
  local lab <close> = labs.open("faults", { "a0" })
  -- The shortest of some, which other load on this machine disturbs least.
  local function round_trip()
    local out = program.run { "ping", "-c", "5", "-i", "0.2", "-q",
      (lab:run("inventory"):match "ansible_host: (%S+)") }.out
    return tonumber(out:match "= ([%d.]+)/")
  end
  check.equal(round_trip() < 20, true)
  lab:run("delay", "40")
  local delayed = round_trip()
  check.equal(delayed >= 80 and delayed < 120, true, "round trip in ms: " .. delayed)
  send(lab, 1)
  lab:run("kill", "a0")
  lab:run("start", "a0")
  check.equal(round_trip() >= 80, true)
  lab:run("delay", "off")
  check.equal(round_trip() < 20, true)
end)
