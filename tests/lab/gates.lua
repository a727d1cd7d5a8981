-- What a gate that is not passed shows: the cause is on the first screen, and with it mended the
-- same command goes on.
local test = ...
local check = require "lib.check"
local labs = require "lib.lab"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

-- Run parts of site.lua as an operator sees them.
local function site(inventory, ...)
  local argv = { program.kbrun, "playbooks/site.lua", "-i", inventory }
  for _, tag in ipairs { ... } do
    argv[#argv + 1], argv[#argv + 2] = "--tags", tag
  end
  return program.run(argv)
end

-- What an operator is shown of the one failure, which is on one screen.
local function failure_of(r)
  check.equal(r.status, 4, r.out .. r.err)
  local shown = r.out:match "\nFAILED %w%d\n(.-)\n\n"
  local _, lines = shown:gsub("\n", "\n")
  check.ok(lines <= 35, lines .. " lines are more than a screen:\n" .. shown)
  return shown
end

local BALANCER = [[
local kb = require "kb"
local haproxy = kb.use "haproxy"
kb.play { "balancer", hosts = "bastion", become = true, function(host)
  haproxy.gate(host, { "m0" })
end }
]]

-- No master has an API server, and the ways to them are open.
local function balancer_tells(dir, inventory)
  local path = dir .. "/balancer.lua"
  check.ok(sys.write_file(path, BALANCER))
  local shown = failure_of(program.run { program.kbrun, path, "-i", inventory })
  check.contains(shown, "HAProxy sees m0 up: not so after 120 s")
  check.contains(shown, "\n    m0 DOWN L4CON ")
  check.contains(shown, "the certificate that is served at m0:6443\n    no certificate is served")
end

test("etcd's members that do not reach each other, and a balancer without servers", function()
  local dir <close> = scratch()
  local lab <close> = labs.open("gates", { "a0", "m0", "m1", "m2" })
  local inventory = dir.path .. "/inventory.yaml"
  local text = lab:run("inventory", "--cluster")
  local password = text:match 'ansible_become_password: "(.-)"'
  check.ok(sys.write_file(inventory, text))
  local r = site(inventory, "preflight", "pki", "nodes", "loadbalancer")
  check.equal(r.status, 0, r.out .. r.err)
  local function block(how)
    for _, name in ipairs { "m0", "m1", "m2" } do
      lab:ssh(name, ("echo %s | sudo -S -p '' iptables -%s INPUT -p tcp --dport 2380 -j DROP")
        :format(password, how))
    end
  end
  local balancer = task.spawn(balancer_tells, dir.path, inventory)
  block "A"
  r = site(inventory, "etcd")
  local shown = failure_of(r)
  check.contains(shown, "etcd.service did not restart")
  check.ok(shown:find "\n    m%d at 10.83.%d+.13%d:2380: no answer within 3 s", shown)
  check.contains(shown, ":2380: i/o timeout\n")
  block "D"
  r = site(inventory, "etcd")
  check.equal(r.status, 0, r.out .. r.err)
  balancer:join()
end)
