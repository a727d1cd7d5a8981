local test = ...
local check = require "lib.check"
local key = require "kb.core.key"
local reach = require "lib.reach"
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

test("what a caller gets wrong does the session no harm", function()
  local server <close> = sshd.new()
  local session <close> = connect(server)
  local channel <close> = check.ok(session:open())
  check.ok(channel:exec "cat; echo done")
  check.equal({ channel:exec "true" },
    { nil, "this channel has had its command", "EREFUSED" })
  check.ok(channel:write "in ")
  check.ok(channel:write_end())
  check.equal({ channel:write "more" }, { nil, "its end was written already", "EREFUSED" })
  check.ok(channel:write_end())
  check.equal(read_all(channel), "in done\n")
  local other <close> = check.ok(session:open())
  check.equal({ other:exec(("x"):rep(32769)) },
    { nil, "the command is longer than 32 KiB", "EREFUSED" })
  check.ok(other:exec("echo still here #" .. ("x"):rep(32768 - 17)))
  check.equal(read_all(other), "still here\n")
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

test("an opening is given up also while keys are exchanged anew", function()
  local hole <close> = reach.black_hole()
  local server <close> = sshd.new { settings = { "RekeyLimit 1M" } }
  local session <close> = connect(server)
  local channel <close> = check.ok(session:open())
  check.ok(channel:exec "cat")
  local piece, written, given_up = ("0123456789abcdef"):rep(4096), 0, 0
  local writer = task.spawn(function()
    while given_up < 200 do
      check.ok(channel:write(piece))
      written = written + #piece
    end
    check.ok(channel:write_end())
  end)
  local reader = task.spawn(read_all, channel)
  while given_up < 200 do
    local _ <close> = task.within(0.001 + given_up % 10 / 1000)
    check.equal(select(3, session:open("127.0.0.1", hole.port)), "ETIMEDOUT")
    given_up = given_up + 1
  end
  writer:join()
  check.equal(#reader:join(), written)
  local other <close> = check.ok(session:open())
  check.ok(other:exec "echo still here")
  check.equal(read_all(other), "still here\n")
end)
