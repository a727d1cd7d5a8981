-- The operations that every playbook uses, all of them on a real node: a dry run says what will be,
-- the run does exactly that and finds its effects true, a second run changes nothing.
local test = ...
local check = require "lib.check"
local json = require "kb.json"
local labs = require "lib.lab"
local op = require "kb.op"
local program = require "lib.program"
local sys = require "kb.core.sys"

local HERE = "tests/lab/modules.d/"
local areas = { "apt", "authorized_keys", "cni", "command", "dpkg", "files", "hostname", "hosts",
  "kmod", "mounts", "reset", "swap", "sysctl", "systemd", "time", "users" }

-- A lab of one prepared node, with an inventory and an archive in a directory of its own.
local function prepared()
  local dir = check.ok(sys.mkdtemp "/tmp/kbrun-modules-")
  local lab = labs.open("modules", { "a0" })
  local ground = { lab = lab, dir = dir }
  setmetatable(ground, { __close = function()
    lab:close()
    program.run { "rm", "-r", dir }
  end })
  check.ok(sys.write_file(dir .. "/inventory.yaml", lab:run("inventory", "--cluster")))
  local made = program.run { "sh", "-ec", ("cd %s; mkdir -p a/bin; echo tool >a/bin/tool; "
    .. "tar -czf archive.tar.gz a"):format(dir) }
  check.equal(made.status, 0, made.err)
  local r = program.run({ "tests/lab/lab", "--name", lab.name, "ssh", "a0", "sudo sh -s" },
    { input = check.ok(sys.read_file(HERE .. "prepare.sh")) })
  check.equal(r.status, 0, r.err)
  return ground
end

-- Run the playbook; its steps on a0 in order, and the output for people when it went wrong.
local function run(ground, playbook, ...)
  local r = program.run { program.kbrun, playbook, "-i", ground.dir .. "/inventory.yaml",
    "--limit", "a0", "--json", "-e", "archive=" .. ground.dir .. "/archive.tar.gz",
    "-e", "tree=" .. ground.dir .. "/a", ... }
  local steps = {}
  for line in r.out:gmatch "[^\n]+" do
    local e = json.decode(line)
    if e.event == "step" and e.status ~= "running" then
      steps[#steps + 1] = e
    end
  end
  return steps, r
end

local function changes(steps)
  local list = {}
  for _, e in ipairs(steps) do
    if e.status == "changed" then
      list[#list + 1] = e.id .. " " .. e.title
    end
  end
  return list
end

-- What a dry run must not change: files, accounts, packages, mounts, units.
local function state(ground)
  return ground.lab:ssh("a0", "sudo sh -c 'find /etc /opt /srv /mnt /usr/local /home -xdev "
    .. "-printf \"%p %y %m %u %g %s %C@ %l\\n\" | sort; dpkg-query -W; sort /proc/self/mounts; "
    .. "systemctl list-units --all --plain --no-legend --type=service,timer | sort; uname -n'")
end

local function is_complete(steps)
  local seen, missing = {}, {}
  for _, e in ipairs(steps) do
    seen[e.op] = true
  end
  for _, area in ipairs(areas) do
    require("modules." .. area)
    for name in pairs(op.all()) do
      if name:match "^[^.]*" == area and not seen[name] then
        missing[#missing + 1] = name
      end
    end
  end
  check.equal(missing, {}, "operations that the playbook does not have")
end

-- A watched file was changed and the run ended before the restart: the next run restarts.
local function loses_no_restart(ground)
  ground.lab:ssh("a0", "echo 2 | sudo tee /etc/lab/words >/dev/null; "
    .. "sudo touch /etc/lab/watched; sudo systemctl show -p NRestarts lab-new")
  local steps, r = run(ground, HERE .. "playbook.lua", "--verify")
  check.equal(r.status, 0, r.err)
  local found = changes(steps)
  check.equal(#found, 2, table.concat(found, "\n"))
  check.contains(found[1], "run: cat >/etc/lab/words")
  check.contains(found[2], "restart lab-new.service: /etc/lab/watched has changed")
end

test("every operation: foretold, done, found true, and not done again", function()
  local ground <close> = prepared()
  local before = state(ground)
  local said, r = run(ground, HERE .. "playbook.lua", "--dry-run")
  check.equal(r.status, 0, r.out .. r.err)
  check.equal(state(ground), before)
  is_complete(said)
  local done
  done, r = run(ground, HERE .. "playbook.lua", "--verify")
  check.equal(r.status, 0, r.out .. r.err)
  check.equal(changes(done), changes(said))
  check.ok(#changes(done) > 40, #changes(done))
  local rules = ground.lab:ssh("a0", "sudo sh -c 'iptables-nft-save; iptables-legacy-save'")
  check.equal(rules:find("KUBE-SERVICES", 1, true), nil, rules)
  check.equal(select(2, rules:gsub("KUBE%-not", "")), 2, rules)
  check.equal(r.out:find("not to be seen", 1, true), nil)
  check.contains(ground.lab:ssh("a0", "ip route show 198.51.100.64/26"), "via 192.0.2.2 dev lab0")
  local started = ground.lab:ssh("a0", "systemctl show -p ActiveEnterTimestamp lab-new chrony")
  local again
  again, r = run(ground, HERE .. "playbook.lua", "--verify")
  check.equal(r.status, 0, r.out .. r.err)
  check.equal(changes(again), {})
  check.equal(ground.lab:ssh("a0", "systemctl show -p ActiveEnterTimestamp lab-new chrony"),
    started)
  check.equal(ground.lab:ssh("a0", "systemctl is-active lab-quiet || true"), "inactive\n")
  loses_no_restart(ground)
end)

local broken = [[
local kb = require "kb"
local systemd = kb.use "systemd"
kb.play { "broken", hosts = "all", become = true, function(host)
  systemd.unit_file(host, { "lab-broken.service", content =
    "[Service]\nExecStart=/bin/sh -c 'echo the reason is here; exit 7'\n" })
  systemd.unit(host, { "lab-broken", state = "running" })
end }
]]

test("a unit that does not start shows its status and its journal", function()
  local ground <close> = prepared()
  check.ok(sys.write_file(ground.dir .. "/broken.lua", broken))
  local steps, r = run(ground, ground.dir .. "/broken.lua")
  check.equal(r.status, 4)
  local evidence = steps[#steps].error.evidence
  check.contains(evidence, "code=exited, status=7")
  check.contains(evidence, "the reason is here")
end)
