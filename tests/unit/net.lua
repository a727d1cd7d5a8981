local test = ...
local check = require "lib.check"
local dial = require "kb.transport.dial"
local net = require "kb.core.net"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

test("a connection carries bytes both ways", function()
  local listener <close> = check.ok(net.listen("127.0.0.1", 0))
  local client <close> = check.ok(dial.connect("127.0.0.1", listener:port()))
  local server <close> = check.ok(listener:accept())
  check.ok(client:write "ping")
  check.equal(server:read(), "ping")
  check.ok(server:write "pong")
  check.equal(client:read(), "pong")
end)

test("accept waits, and stops at its deadline", function()
  local listener <close> = check.ok(net.listen("127.0.0.1", 0))
  local _ <close> = task.within(0.02)
  check.equal({ listener:accept() }, { nil, "timed out", "ETIMEDOUT" })
end)

test("a name with an address that refuses and one that answers is reached", function()
  -- localhost is both ::1 and 127.0.0.1 on most machines; only the second listens.
  local listener <close> = check.ok(net.listen("127.0.0.1", 0))
  local client <close> = check.ok(dial.connect("localhost", listener:port()))
  check.ok(client)
end)

test("a refused connection says so", function()
  local listener = check.ok(net.listen("127.0.0.1", 0))
  local port = listener:port()
  listener:close()
  local stream, message, code = dial.connect("127.0.0.1", port)
  check.equal({ stream, message, code }, { nil, "Connection refused", "ECONNREFUSED" })
end)

test("a name that does not exist says so", function()
  local stream, message = dial.connect("no-such-host.invalid", 22)
  check.equal(stream, nil)
  check.contains(message, "its name cannot be looked up: ")
end)

test("giving up looking up a name leaves nothing behind", function()
  local before = #sys.list "/proc/self/fd"
  do
    local _ <close> = task.within(0)
    check.equal(select(3, net.resolve("no-such-host.invalid", 22)), "ETIMEDOUT")
  end
  -- The thread ends in its own time; what it held goes with it.
  while #sys.list "/proc/self/fd" > before do
    check.ok(task.sleep(0.01))
  end
end)

test("addresses in numbers are looked up at once", function()
  local list = check.ok(net.resolve("::1", 22))
  check.equal({ list[1].text, list[1].family, #list }, { "::1", "ipv6", 1 })
  list = check.ok(net.resolve("127.0.0.1", 22, "ipv4"))
  check.equal({ list[1].text, list[1].family, #list }, { "127.0.0.1", "ipv4", 1 })
end)

test("a unix socket that is not there says so", function()
  check.equal(select(3, net.unix "/nonexistent/socket"), "ENOENT")
  check.equal(select(3, net.unix(("x"):rep(200))), "ENAMETOOLONG")
end)

test("a pair is connected", function()
  local a <close>, b = net.pair()
  local _ <close> = check.ok(b)
  check.ok(a:write "x")
  check.equal(b:read(), "x")
end)

test("an address of resolve is wanted", function()
  check.raises("not an address", net.connect, { raw = "x" })
end)
