local test = ...
local check = require "lib.check"
local task = require "kb.core.task"
local transport = require "kb.transport.local"

local function read_all(stream)
  local parts = {}
  for part in function()
    return stream:read()
  end do
    parts[#parts + 1] = part
  end
  return table.concat(parts)
end

test("a local command gets its input and gives its output, error and status", function()
  local connection <close> = check.ok(transport.open {})
  local channel <close> = check.ok(connection:exec "cat; echo bad >&2; exit 3")
  check.ok(channel.stdin:write "in")
  channel.stdin:shutdown()
  check.equal(read_all(channel.stdout), "in")
  check.equal(read_all(channel.stderr), "bad\n")
  check.equal(channel:wait(), 3)
end)

test("the signal that ended a local command is told", function()
  local channel <close> = check.ok(transport.open({}):exec "kill -9 $$")
  check.equal({ channel:wait() }, { nil, "KILL" })
end)

test("closing ends what ignores the end of its input, and its children", function()
  local command = "echo $$; trap '' TERM; sleep 100 & wait; sleep 100"
  local channel = check.ok(transport.open({}):exec(command))
  local pid = channel.stdout:read():match "%d+"
  local started = task.now()
  channel:close()
  check.equal(task.now() - started < 3, true)
  local count = check.ok(transport.open({}):exec("ps -o stat= -g " .. pid .. " | grep -vc Z"))
  check.equal(count.stdout:read(), "0\n", "processes left in the group")
  count:close()
end)

test("a cancelled task still ends its command", function()
  local pid
  local t = task.spawn(function()
    local channel <close> = check.ok(transport.open({}):exec "echo $$; cat")
    pid = channel.stdout:read():match "%d+"
    channel.stdout:read()
  end)
  while not pid do
    task.sleep(0.005)
  end
  t:cancel "enough"
  pcall(t.join, t)
  check.equal(check.ok(transport.open({}):exec("kill -0 " .. pid .. " 2>&1")):wait(), 1)
end)

test("a closed connection refuses", function()
  local connection = transport.open {}
  check.equal(connection:alive(), true)
  connection:close()
  check.equal(connection:alive(), false)
  local channel, message, code = connection:exec "true"
  check.equal({ channel, message, code }, { nil, "local: the connection is closed", "ECLOSED" })
end)
