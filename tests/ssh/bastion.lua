-- Hosts behind bastions: one connection for all, chains of hops, who failed.
local test = ...
local check = require "lib.check"
local crypto = require "kb.core.crypto"
local known_hosts = require "kb.transport.known_hosts"
local proc = require "kb.core.proc"
local program = require "lib.program"
local reach = require "lib.reach"
local sshd = require "lib.sshd"
local sys = require "kb.core.sys"
local task = require "kb.core.task"
local transport = require "kb.transport.ssh"

-- Established connections to a port of this machine.
-- Each by its other end: the kernel tells them piece by piece, and one that moves meanwhile twice.
local function connections_to(port)
  local text = check.ok(sys.read_file "/proc/net/tcp")
  local count, seen, hex = 0, {}, (":%04X"):format(port)
  for line in text:gmatch "[^\n]+" do
    local here, there, state = line:match "^%s*%d+: %x+(:%x+) (%x+:%x+) (%x%x)"
    if here == hex and state == "01" and not seen[there] then
      seen[there] = true
      count = count + 1
    end
  end
  return count
end

local function many(n, fn)
  local tasks = {}
  for i = 1, n do
    tasks[i] = task.spawn(fn, i)
  end
  for i = 1, n do
    tasks[i]:join()
  end
end

test("fifty hosts behind a bastion go over one connection to it", function()
  local bastion <close> = sshd.new { settings = { "MaxStartups 3:100:3", "MaxSessions 1" } }
  local inside <close> = sshd.new { settings = { "MaxStartups 200" } }
  bastion:listen()
  inside:listen { everywhere = true }
  local opened = {}
  many(50, function(i)
    local target = reach.target(inside, {
      name = "host" .. i,
      address = "127.0.1." .. i,
      jumps = { reach.target(bastion, { name = "a0" }) },
    })
    opened[i] = check.ok(transport.open(target))
    check.equal(reach.run(opened[i], "echo " .. i), i .. "\n")
  end)
  check.equal(connections_to(bastion.port), 1)
  for _, connection in ipairs(opened) do
    connection:close()
  end
end)

local function inventory_of(bastion, inside)
  local a0, target = reach.target(bastion, {}), reach.target(inside, {})
  local hosts = {}
  for i = 1, 50 do
    hosts[i] = ("        h%d: {ansible_host: 127.0.1.%d}"):format(i, i)
  end
  return ([[
all:
  hosts:
    a0: {ansible_host: 127.0.0.1, ansible_port: %d, ansible_user: %s,
         ansible_ssh_private_key_file: %s, host_key: %s}
  children:
    inner:
      vars: {ansible_port: %d, ansible_user: %s, ansible_ssh_private_key_file: %s, host_key: %s,
             jump: a0}
      hosts:
%s
]]):format(a0.port, a0.user, a0.keys[1], a0.host_key[1], target.port, target.user, target.keys[1],
    target.host_key[1], table.concat(hosts, "\n"))
end

test("kbrun exec on fifty hosts behind a bastion: one connection, no failure", function()
  local bastion <close> = sshd.new { settings = { "MaxStartups 3:100:3" } }
  local inside <close> = sshd.new { settings = { "MaxStartups 200" } }
  bastion:listen()
  inside:listen { everywhere = true }
  local path = bastion:file("inventory.yaml", inventory_of(bastion, inside))
  local most, done = 0, false
  local watcher = task.spawn(function()
    while not done do
      most = math.max(most, connections_to(bastion.port))
      task.sleep(0.05)
    end
  end)
  local r = program.run { program.kbrun, "exec", "-i", path, "inner", "--", "echo", "here" }
  done = true
  watcher:join()
  check.equal(r.status, 0, r.err)
  check.equal(select(2, r.out:gsub("here", "")), 50, r.out)
  check.equal(most, 1, "connections to the bastion at once")
end)

test("fifty hosts whose server lets three in at a time", function()
  local server <close> = sshd.new { settings = { "MaxStartups 3:100:3" } }
  server:listen { everywhere = true }
  many(50, function(i)
    reach.works(reach.target(server, { name = "host" .. i, address = "127.0.1." .. i }))
  end)
end)

test("a transfer over two hops, with rekeying on all of them", function()
  local settings = { settings = { "RekeyLimit 1M" } }
  local first <close> = sshd.new(settings)
  local second <close> = sshd.new(settings)
  local last <close> = sshd.new(settings)
  first:listen()
  second:listen()
  last:listen()
  local target = reach.target(last, {
    jumps = { reach.target(first, { name = "a0" }), reach.target(second, { name = "a1" }) },
  })
  local connection <close> = check.ok(transport.open(target))
  local piece = crypto.random(1 << 20)
  many(2, function()
    local channel <close> = check.ok(connection:exec "cat")
    local sent, got = crypto.hash "sha256", crypto.hash "sha256"
    task.spawn(function()
      for _ = 1, 16 do
        sent:update(piece)
        check.ok(channel.stdin:write(piece))
      end
      check.ok(channel.stdin:shutdown())
    end)
    local bytes = 0
    for part in function()
      return channel.stdout:read()
    end do
      bytes = bytes + #part
      got:update(part)
    end
    check.equal(bytes, 16 << 20)
    check.equal(got:final(), sent:final())
    check.equal(channel:wait(), 0)
  end)
end)

test("one slow reader does not stop the others", function()
  local server <close> = sshd.new()
  server:listen()
  local hop = { reach.target(server, { name = "a0" }) }
  local slow <close> = check.ok(transport.open(reach.target(server, { jumps = hop })))
  local quick <close> = check.ok(transport.open(reach.target(server, { jumps = hop })))
  local channel <close> = check.ok(slow:exec "yes")
  check.ok(channel.stdout:read())
  for i = 1, 20 do
    check.equal(reach.run(quick, "echo " .. i), i .. "\n")
  end
  local stats = slow:stats()
  check.equal(stats.queued_in < 2 << 20, true, stats.queued_in)
end)

test("an error says which hop it is about", function()
  local bastion <close> = sshd.new()
  local inside <close> = sshd.new()
  bastion:listen()
  inside:listen()
  local function through(hop, changes)
    changes.jumps = { reach.target(bastion, hop) }
    return reach.target(inside, changes)
  end
  local other = known_hosts.fingerprint(known_hosts.parse_key(inside:public(inside.user_key)))
  local here = { name = "a0" }
  reach.fails(through({ name = "a0", keys = {} }, {}), "EAUTH",
    "web1: bastion a0 (127.0.0.1:", "auth: ")
  reach.fails(through(here, { keys = {} }), "EAUTH", "web1 (127.0.0.1:", "via a0: auth: ")
  reach.fails(through({ name = "a0", host_key = { other } }, {}), "EHOSTKEY",
    "web1: bastion a0", "host key: it shows ", other)
  reach.fails(through(here, { host_key = { other } }), "EHOSTKEY",
    "web1 (", "via a0: host key: it shows ")
  reach.fails(through(here, { port = 1 }), "EUNREACHABLE",
    "web1 (127.0.0.1:1) via a0", "connect: the bastion cannot connect there")
  reach.fails(through({ name = "a0", port = 1 }, {}), "EUNREACHABLE",
    "web1: bastion a0 (127.0.0.1:1)", "connect: Connection refused")
end)

test("a bastion that one target trusts has to prove itself to another one, too", function()
  local bastion <close> = sshd.new()
  bastion:listen()
  local other = known_hosts.fingerprint(known_hosts.parse_key(bastion:public(bastion.user_key)))
  local first <close> = check.ok(transport.open(reach.target(bastion,
    { jumps = { reach.target(bastion, { name = "a0" }) } })))
  reach.fails(reach.target(bastion, { jumps = {
    reach.target(bastion, { name = "a0", host_key = { other } }) } }), "EHOSTKEY",
    "web1: bastion a0", "host key: it shows ", other)
  reach.fails(reach.target(bastion, { jumps = {
    reach.target(bastion, { name = "a0", host_key = false,
      known_hosts = { bastion:file("known", "") } }) } }), "EHOSTKEY", "web1: bastion a0",
    "unknown")
  reach.fails(reach.target(bastion, { jumps = {
    reach.target(bastion, { name = "a0", proxy_command = "false" }) } }), "ECLOSED",
    "web1: bastion a0")
  check.equal(reach.run(first, "echo still here"), "still here\n")
end)

test("when a bastion dies, those behind it learn so", function()
  local bastion <close> = sshd.new()
  local inside <close> = sshd.new()
  bastion:listen()
  inside:listen()
  local hop = reach.target(bastion, { name = "a0" })
  local target = reach.target(inside, { jumps = { hop } })
  local connection <close> = check.ok(transport.open(target))
  local channel <close> = check.ok(connection:exec "echo ready; sleep 100")
  check.ok(channel.stdout:read())
  local killer = check.ok(proc.spawn {
    argv = { "pkill", "-9", "-P", tostring(bastion.daemon:pid()) },
  })
  check.equal(killer:wait(), 0)
  local out, message, code = channel.stdout:read()
  check.equal({ out, code }, { nil, "ECLOSED" })
  check.contains(message, "via a0: ")
  check.equal(connection:alive(), false)
end)

test("those behind a bastion learn at once what its connection was lost by", function()
  local bastion <close> = sshd.new()
  local inside <close> = sshd.new()
  bastion:listen()
  inside:listen()
  local hop = reach.target(bastion, { name = "a0" })
  local connection <close> = check.ok(transport.open(reach.target(inside, { jumps = { hop } })))
  local channel <close> = check.ok(connection:exec "cat")
  local reader = task.spawn(function()
    return channel.stdout:read()
  end)
  task.yield()
  -- Without a turn of the loop, so that sending finds it before reading does. A kernel that cannot
  -- destroy connections leaves this one as it is.
  os.execute(("ss -K dport = :%d >/dev/null 2>&1"):format(bastion.port))
  channel.stdin:write "to nobody"
  local began = task.now()
  if not connection:alive() or connections_to(bastion.port) == 0 then
    local out, message, code = reader:join()
    check.equal({ out, code }, { nil, "ECLOSED" })
    check.contains(message, "via a0: Software caused connection abort")
    check.equal(task.now() - began < 5, true)
  end
end)

test("a bastion's connection ends with the last one that goes through it", function()
  local bastion <close> = sshd.new()
  bastion:listen()
  local target = reach.target(bastion, { jumps = { reach.target(bastion, { name = "a0" }) } })
  local one = check.ok(transport.open(target))
  local two = check.ok(transport.open(target))
  check.equal(connections_to(bastion.port), 3)
  one:close()
  reach.run(two, "true")
  two:close()
  local deadline = task.now() + 5
  while connections_to(bastion.port) > 0 and task.now() < deadline do
    task.sleep(0.01)
  end
  check.equal(connections_to(bastion.port), 0)
end)
