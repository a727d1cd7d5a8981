local test = ...
local check = require "lib.check"
local key = require "kb.core.key"
local ssh = require "kb.core.ssh"
local sshd = require "lib.sshd"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local function login(session, path)
  local k = check.ok(key.parse(check.ok(sys.read_file(path))))
  check.ok(session:greeting())
  check.ok(session:handshake())
  local user = sys.self().user
  check.contains(check.ok(session:auth_methods(user)), "publickey")
  local data = check.ok(session:auth_key(user, k:public()))
  check.ok(session:auth_key(user, k:public(), k:sign(data, k:type())))
  return session
end

local function connect(server)
  local session = check.ok(ssh.session { stream = server:connect(), name = "test" })
  return login(session, server.user_key)
end

local function read_all(channel, method)
  local parts = {}
  for part in function()
    return channel[method or "read"](channel)
  end do
    parts[#parts + 1] = part
  end
  return table.concat(parts)
end

test("a command gets its input and gives output, error output and status", function()
  local server <close> = sshd.new()
  local session <close> = connect(server)
  local channel <close> = check.ok(session:open())
  check.ok(channel:exec "cat; echo bad >&2; exit 3")
  check.ok(channel:write "in")
  check.ok(channel:write_end())
  check.equal(read_all(channel), "in")
  check.equal(read_all(channel, "read_error"), "bad\n")
  check.equal(channel:wait(), 3)
end)

test("sixteen channels echo 4 MB each under a rekeying every megabyte", function()
  local server <close> = sshd.new { settings = { "RekeyLimit 1M", "MaxSessions 20" } }
  local session <close> = connect(server)
  local piece = ("0123456789abcdef"):rep(4096)
  local tasks = {}
  for i = 1, 16 do
    tasks[i] = task.spawn(function()
      local channel <close> = check.ok(session:open())
      check.ok(channel:exec "cat")
      local writer = task.spawn(function()
        for _ = 1, 64 do
          check.ok(channel:write(piece))
        end
        check.ok(channel:write_end())
      end)
      local got = 0
      for part in function()
        return channel:read()
      end do
        got = got + #part
      end
      writer:join()
      check.equal(channel:wait(), 0)
      return got
    end)
  end
  for i = 1, 16 do
    check.equal(tasks[i]:join(), 64 * #piece)
  end
end)
