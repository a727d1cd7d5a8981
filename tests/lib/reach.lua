--- What tests of connections share: targets, and whether one gets through.
local check = require "lib.check"
local net = require "kb.core.net"
local sys = require "kb.core.sys"
local task = require "kb.core.task"
local transport = require "kb.transport.ssh"

local M = {}

--- All that a stream gives.
function M.read_all(stream)
  local parts = {}
  for part in function()
    return stream:read()
  end do
    parts[#parts + 1] = part
  end
  return table.concat(parts)
end

--- A target for a server of lib.sshd that listens; its host key is known.
function M.target(server, changes)
  local target = {
    name = "web1",
    address = "127.0.0.1",
    port = server.port,
    user = sys.self().user,
    keys = { server.user_key },
    agent = false,
    host_key = { server:public(server.host_key) },
  }
  for k, v in pairs(changes or {}) do
    target[k] = v
  end
  return target
end

--- Run a command on a connection; returns its output and its status.
function M.run(connection, command, input)
  local channel <close> = check.ok(connection:exec(command))
  if input then
    check.ok(channel.stdin:write(input))
  end
  check.ok(channel.stdin:shutdown())
  local out = M.read_all(channel.stdout)
  return out, channel:wait()
end

--- One gets through, and commands work.
function M.works(target, open)
  local connection <close> = check.ok((open or transport.open)(target))
  local out, status = M.run(connection, "cat; echo $((6 * 7))", "in ")
  check.equal(out, "in 42\n")
  check.equal(status, 0)
end

--- Opening fails with this code, and the message says all the words.
function M.fails(target, code, ...)
  local connection, message, got = transport.open(target)
  check.equal(connection, nil)
  check.equal(got, code, message)
  for _, words in ipairs { ... } do
    check.contains(message, words)
  end
  return message
end

--- A port of 127.0.0.1 that gives connections no answer at all: its queue of them is full.
-- @return table: port; to be closed
function M.black_hole()
  local hole = check.ok(net.listen("127.0.0.1", 0, 0))
  local address = check.ok(net.resolve("127.0.0.1", hole:port()))[1]
  local held = { hole }
  for _ = 1, 8 do
    local _ <close> = task.within(0.05)
    held[#held + 1] = net.connect(address)
  end
  return setmetatable({ port = hole:port() }, { __close = function()
    for _, one in ipairs(held) do
      one:close()
    end
  end })
end

return M
