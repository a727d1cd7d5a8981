-- What a gate that is not passed shows: the cause is on the first screen, and with it mended the
-- same command goes on.
local test = ...
local check = require "lib.check"
local labs = require "lib.lab"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"

-- Run parts of site.lua as an operator sees them.
local function site(inventory, ...)
  local argv = { program.kbrun, "playbooks/site.lua", "-i", inventory }
  for _, tag in ipairs { ... } do
    argv[#argv + 1], argv[#argv + 2] = "--tags", tag
  end
  return program.run(argv)
end

test("etcd's members that do not reach each other", function()
  local dir <close> = scratch()
  local lab <close> = labs.open("gates", { "a0", "m0", "m1", "m2" })
  local inventory = dir.path .. "/inventory.yaml"
  local text = lab:run("inventory", "--cluster")
  local password = text:match 'ansible_become_password: "(.-)"'
  check.ok(sys.write_file(inventory, text))
  local r = site(inventory, "preflight", "pki", "nodes")
  check.equal(r.status, 0, r.out .. r.err)
  local function block(how)
    for _, name in ipairs { "m0", "m1", "m2" } do
      lab:ssh(name, ("echo %s | sudo -S -p '' iptables -%s INPUT -p tcp --dport 2380 -j DROP")
        :format(password, how))
    end
  end
  block "A"
  r = site(inventory, "etcd")
  check.equal(r.status, 4)
  local shown = r.out:match "\nFAILED m%d\n(.-)\n\n"
  check.contains(shown, "etcd.service did not restart")
  check.ok(shown:find "\n    m%d at 10.83.%d+.13%d:2380: no answer within 3 s", shown)
  check.contains(shown, ":2380: i/o timeout\n")
  local _, lines = shown:gsub("\n", "\n")
  check.ok(lines <= 35, lines .. " lines are more than a screen:\n" .. shown)
  block "D"
  r = site(inventory, "etcd")
  check.equal(r.status, 0, r.out .. r.err)
end)
