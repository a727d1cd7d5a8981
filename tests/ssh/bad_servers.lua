-- Servers that stall, hang up or speak slowly: every wait ends by its deadline,
-- with an error that names host and phase.
local test = ...
local check = require "lib.check"
local net = require "kb.core.net"
local proxy = require "lib.proxy"
local reach = require "lib.reach"
local remote = require "kb.remote"
local sshd = require "lib.sshd"
local task = require "kb.core.task"
local transport = require "kb.transport.ssh"

local SHORT = { connect = 0.5, banner = 0.5, kex = 0.5, auth = 0.5, open = 0.5 }

-- A server that does to each connection what fn says.
local function scripted(fn)
  local listener = check.ok(net.listen("127.0.0.1", 0))
  task.background(function()
    while true do
      local stream = listener:accept()
      task.background(function()
        local _ <close> = stream
        fn(stream)
      end)
    end
  end)
  return listener
end

local function target_at(listener, changes)
  local target = {
    name = "web1",
    address = "127.0.0.1",
    port = listener:port(),
    agent = false,
    keys = {},
    timeouts = SHORT,
  }
  for k, v in pairs(changes or {}) do
    target[k] = v
  end
  return target
end

local function within(seconds, fn, ...)
  local started = task.now()
  local message = fn(...)
  local took = task.now() - started
  check.equal(took < seconds, true, ("took %.1f s: %s"):format(took, message))
  return message
end

test("a server that says nothing", function()
  local listener <close> = scripted(function()
    task.sleep(1000)
  end)
  within(2, reach.fails, target_at(listener), "ETIMEDOUT", "web1 (127.0.0.1:",
    "banner: no answer within 0.5 s")
end)

test("a server that stops after its version", function()
  local listener <close> = scripted(function(stream)
    stream:write "SSH-2.0-Stalled\r\n"
    task.sleep(1000)
  end)
  within(2, reach.fails, target_at(listener), "ETIMEDOUT", "web1 (127.0.0.1:",
    "kex: no answer within 0.5 s")
end)

test("a server that is none of SSH", function()
  local listener <close> = scripted(function(stream)
    stream:read()
    stream:write "HTTP/1.1 400 Bad Request\r\n\r\n"
  end)
  within(2, reach.fails, target_at(listener), "ECLOSED", "web1", "banner",
    [[the server says "HTTP/1.1 400 Bad Request"]])
end)

test("a server that sends rubbish after its version", function()
  local listener <close> = scripted(function(stream)
    stream:write("SSH-2.0-Rubbish\r\n" .. ("\255"):rep(100))
    task.sleep(1000)
  end)
  within(2, reach.fails, target_at(listener), "EPROTO", "web1", "kex")
end)

test("a server that hangs up is asked again, until the deadline", function()
  local calls = 0
  local listener <close> = scripted(function()
    calls = calls + 1
  end)
  local _ <close> = task.within(1.5)
  within(3, reach.fails, target_at(listener), "ECLOSED", "web1", "banner")
  check.equal(calls >= 2, true)
end)

test("a server that stalls anywhere on the way to a login", function()
  local server <close> = sshd.new()
  server:listen()
  local phases = {}
  for limit = 0, 3200, 200 do
    local between <close> = proxy.start(server.port, proxy.stall_after(limit))
    local target = reach.target(server, { port = between:port(), timeouts = SHORT })
    local started = task.now()
    local connection, message, code = transport.open(target)
    if connection then
      connection:close()
    else
      check.equal(code, "ETIMEDOUT", message)
      check.contains(message, "web1")
      check.equal(task.now() - started < 3, true, message)
      phases[message:match "%) ?:? ?(%a+): no answer" or message:match "(%a+): no answer"] = true
    end
  end
  check.equal({ phases.banner, phases.kex, phases.auth }, { true, true, true })
end)

test("a server whose bytes come one by one", function()
  local server <close> = sshd.new()
  server:listen()
  local between <close> = proxy.start(server.port, proxy.byte_by_byte)
  reach.works(reach.target(server, { port = between:port() }))
end)

test("a connection that ends in the middle of a command is lost, not a success", function()
  local server <close> = sshd.new()
  server:listen()
  local connection <close> = check.ok(transport.open(reach.target(server)))
  local channel <close> = check.ok(connection:exec "echo $PPID; sleep 100")
  local pid = check.ok(channel.stdout:read()):match "%d+"
  local killer = require("kb.core.proc").spawn { argv = { "kill", "-9", pid } }
  killer:wait()
  local status, message, code = channel:wait()
  check.equal(status, nil)
  check.equal(code, "ECLOSED", message)
  check.equal({ channel.stdout:read() }, { nil, message, "ECLOSED" })
  check.equal(connection:alive(), false)
end)

test("a connection that ends in the middle of a transfer", function()
  local server <close> = sshd.new()
  server:listen()
  local between <close> = proxy.start(server.port, function()
    local left = 2 << 20
    return function(data)
      left = left - #data
      if left < 0 then
        error "enough"
      end
      return { data }
    end
  end)
  local target = reach.target(server, { port = between:port() })
  local connection <close> = check.ok(transport.open(target))
  local channel <close> = check.ok(connection:exec "cat")
  local piece = ("x"):rep(65536)
  local writer = task.spawn(function()
    local ok, _, code
    repeat
      ok, _, code = channel.stdin:write(piece)
    until not ok
    return code
  end)
  local code
  repeat
    local part, _, why = channel.stdout:read()
    code = why
  until not part
  check.equal(code, "ECLOSED")
  check.equal(writer:join(), "ECLOSED")
end)

test("a server that does not answer at all", function()
  local hole <close> = reach.black_hole()
  local target = { name = "web1", address = "127.0.0.1", port = hole.port, agent = false, keys = {},
    timeouts = SHORT }
  within(2, reach.fails, target, "ETIMEDOUT", "web1 (127.0.0.1:",
    "connect: no answer within 0.5 s")
end)

test("a server that stalls when a command is to start", function()
  local server <close> = sshd.new()
  server:listen()
  local switch = {}
  local between <close> = proxy.start(server.port, proxy.stall_when(switch))
  local connection <close> = check.ok(transport.open(reach.target(server,
    { port = between:port(), timeouts = SHORT })))
  reach.run(connection, "true")
  switch.stalled = true
  within(2, function()
    local channel, message, code = connection:exec "true"
    check.equal({ channel, code }, { nil, "ETIMEDOUT" })
    check.contains(message, "web1 (127.0.0.1:")
    check.contains(message, "open: no answer within 0.5 s")
    return message
  end)
end)

test("a server that falls silent while a command runs: lost, and reached anew", function()
  local server <close> = sshd.new()
  server:listen()
  local switch = {}
  local between <close> = proxy.start(server.port, proxy.stall_when(switch))
  local r <close> = check.ok(remote.open(reach.target(server, { port = between:port(),
    keepalive = 0.3 })))
  check.ok(r:run "sleep 5") -- quiet, but alive
  within(8, function()
    local result, message, code = r:run("echo ready; sleep 100", { timeout = 50,
      on_output = function()
        switch.stalled = true
      end })
    check.equal({ result, code }, { nil, "ECLOSED" })
    check.contains(message, "web1: the shell was lost while the command ran")
    check.contains(message, "no sign of life")
    return message
  end)
  switch.stalled = false
  check.equal(check.ok(r:run "echo again").out, "again\n")
end)

test("opening a channel to where nobody answers can be given up", function()
  local server <close> = sshd.new()
  server:listen()
  local hole <close> = reach.black_hole()
  local target = reach.target(server, { name = "behind", address = "127.0.0.1",
    port = hole.port, jumps = { reach.target(server, { name = "a0" }) }, timeouts = SHORT })
  local bastion <close> = check.ok(transport.open(reach.target(server)))
  within(2, reach.fails, target, "ETIMEDOUT", "behind (127.0.0.1:", "via a0",
    "connect: no answer within 0.5 s")
  local alive = reach.target(server, { name = "alive",
    jumps = { reach.target(server, { name = "a0" }) } })
  local dead = task.spawn(reach.fails, target, "ETIMEDOUT")
  reach.works(alive)
  dead:join()
  check.equal(reach.run(bastion, "echo still here"), "still here\n")
end)
