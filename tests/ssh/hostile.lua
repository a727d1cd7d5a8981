-- Servers that do what no good one does: the session ends with a reason, and with it what they
-- made us keep; others are not harmed.
local test = ...
local check = require "lib.check"
local hostile = require "lib.hostile"
local task = require "kb.core.task"

test("a closed window holds nobody up after an exchange of keys", function()
  local server <close> = hostile.start()
  local session = server.session
  local echo <close> = server:ask "echo"
  local mute = {} -- many, as the order in which channels are served changes
  for i = 1, 8 do
    mute[i] = server:ask "mute"
    check.ok(mute[i]:write(("m"):rep(32700))) -- some 7 kB more have room
  end
  local rekey <close> = server:ask "rekey"
  local before = session:stats().bytes_in
  check.ok(rekey:write "!")
  -- The server's lists of methods are as long as that, and nothing else is.
  while session:stats().bytes_in < before + 600 and task.sleep(0.01) do
    check.equal(session:alive(), true)
  end
  for i = 1, #mute do
    check.ok(mute[i]:write(("m"):rep(32700)))
  end
  check.ok(echo:write "ping")
  local _ <close> = task.within(10)
  check.equal(echo:read(), "ping")
end)

test("a channel that is closed instead of an answer to its command", function()
  local server <close> = hostile.start()
  local channel <close> = check.ok(server.session:open())
  local _ <close> = task.within(10)
  check.equal({ channel:exec "shut" },
    { nil, "the server closed the channel instead of an answer", "ECLOSED" })
  check.equal(server.session:alive(), true)
end)

test("the name of a signal that is not there", function()
  local server <close> = hostile.start()
  local channel <close> = server:ask "signal"
  check.ok(channel:write "!")
  check.equal({ channel:wait() }, { nil, "" })
end)

for _, what in ipairs { "pile", "names" } do
  test("a server that makes us keep more and more: " .. what, function()
    local server <close> = hostile.start()
    local channel <close> = server:ask(what)
    local part, message, code = channel:read()
    check.equal({ part, code }, { nil, "EPROTO" }, message)
    check.contains(message, "the server sends more than can be kept")
  end)
end

test("a server that asks for answers and takes none", function()
  local server <close> = hostile.start()
  local channel <close> = server:ask "deaf"
  local part, message, code = channel:read()
  check.equal({ part, code }, { nil, "EPROTO" }, message)
  check.contains(message, "the server asks for answers and takes none")
end)
