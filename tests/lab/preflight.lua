-- Everything that stands in the way of a cluster is told at once, by real machines; and nothing has
-- been touched by then.
local test = ...
local check = require "lib.check"
local json = require "kb.json"
local labs = require "lib.lab"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

-- Run a playbook; what each host was refused for, the exit status, the summary, the seconds.
local function run(playbook, inventory, ...)
  local started = task.now()
  local r = program.run { program.kbrun, playbook, "-i", inventory, "--json", ... }
  local refused, summary = {}, nil
  for line in r.out:gmatch "[^\n]+" do
    local event = json.decode(line)
    if event.event == "host" and event.status ~= "done" then
      refused[event.host] = (event.error.evidence or "") .. "\n" .. event.error.message
    end
    summary = event.event == "summary" and event or summary
  end
  check.ok(summary, r.err)
  return refused, r.status, summary, task.now() - started
end

-- Faults of each host, by shell text as ops.
local FAULTS = {
  a0 = "sudo systemd-run -q --unit=squatter --socket-property=ListenStream=6443 "
    .. "--socket-property=Accept=yes cat",
  w0 = "printf '%s\\n' 0123456789abcdef0123456789abcdef | sudo tee /etc/machine-id; "
    .. "sudo iptables -A INPUT -p tcp --dport 10250 -j DROP; sudo mkdir -p /etc/kubernetes/pki; "
    .. "echo another | sudo tee /etc/kubernetes/pki/ca.crt",
  w1 = "printf '%s\\n' 0123456789abcdef0123456789abcdef | sudo tee /etc/machine-id",
}

local function break_all(lab, inventory)
  for name, text in pairs(FAULTS) do
    lab:ssh(name, text)
  end
  local password = inventory:match 'ansible_become_password: "(.-)"'
  lab:ssh("m1", ("echo %s | sudo -S -p '' sh -c 'iptables -A INPUT -p tcp --dport 2380 -j DROP; "
    .. "mkdir -p /var/lib/etcd/old/member'"):format(password))
  lab:run("fill", "w1")
  return (inventory:gsub("(        m0:\n)", "%1          ansible_become_password: mistaken-0\n"))
end

local EXPECTED = {
  a0 = { "etcd%-members: 2 members", "port%-holders: 6443 is held by systemd" },
  m0 = { "sudo: m0: sudo to root: wrong password" },
  m1 = { "ports: m0 cannot connect to 10.83.%d+.132:2380: no answer within 3 s",
    "etcd: /var/lib/etcd/old holds the data" },
  w0 = { "machine%-id: the machine id 0123456789abcdef0123456789abcdef is w1's, too",
    "ports: m%d cannot connect to 10.83.%d+.141:10250: no answer", "other%-cluster: " },
  w1 = { "disk: %d MB free below /var/lib, at least 4000",
    "machine%-id: the machine id 0123456789abcdef0123456789abcdef is w0's, too" },
}

test("all that is wrong is told at once, and then nothing is touched", function()
  local dir <close> = scratch()
  local lab <close> = labs.open("preflight", { "a0", "m0", "m1", "w0", "w1" })
  local inventory = dir.path .. "/inventory.yaml"
  local good = lab:run("inventory", "--cluster")
  check.ok(sys.write_file(inventory, good))
  local refused, status, _, seconds = run("playbooks/preflight.lua", inventory)
  check.equal(status, 4)
  check.contains(refused.a0, "etcd-members: 2 members")
  refused.a0 = nil
  check.equal(refused, {})
  io.write(("  # five bare hosts in %.1f s\n"):format(seconds))

  check.ok(sys.write_file(inventory, break_all(lab, good)))
  local summary
  refused, status, summary = run("playbooks/site.lua", inventory)
  check.equal(status, 4)
  for name, texts in pairs(EXPECTED) do
    for _, text in ipairs(texts) do
      check.ok((refused[name] or ""):find(text), ("%s: %s in:\n%s"):format(name, text,
        refused[name]))
    end
  end
  check.equal(summary.steps.changed, 0)
  check.equal(summary.steps.failed, 0)
end)
