-- Commands and files over a real sshd.
local test = ...
local account = require "lib.account"
local check = require "lib.check"
local crypto = require "kb.core.crypto"
local dropbear = require "lib.dropbear"
local proc = require "kb.core.proc"
local program = require "lib.program"
local remote = require "kb.remote"
local shell = require "kb.shell"
local sshd = require "lib.sshd"
local sys = require "kb.core.sys"
local task = require "kb.core.task"
local local_transport = require "kb.transport.local"

local function serve(options)
  local server = sshd.new(options)
  server:listen()
  return server, {
    name = "web1", address = "127.0.0.1", port = server.port, user = sys.self().user,
    keys = { server.user_key }, agent = false, host_key = { server:public(server.host_key) },
  }
end

local function running(pid)
  local stat = sys.read_file("/proc/" .. pid .. "/stat")
  return stat ~= nil and not stat:find(") Z ", 1, true)
end

local function gone_within(seconds, pids)
  local started = task.now()
  for _, pid in ipairs(pids) do
    while running(pid) do
      check.equal(task.now() - started < seconds, true, pid .. " is still there after")
      task.sleep(0.01)
    end
  end
end

-- A command that says its pids and sleeps.
local SLEEPER = "echo $$; sleep 300 & echo $!; wait"

-- Start it; returns the task and its pids once it runs.
local function sleeper(r)
  local said = ""
  local t = task.spawn(function()
    return r:run(SLEEPER, { on_output = function(_, data)
      said = said .. data
    end })
  end)
  local _ <close> = task.within(10)
  while not said:match "%d+\n%d+\n" do
    check.ok(task.sleep(0.01), "waiting for the command")
  end
  local pids = {}
  for pid in said:gmatch "%d+" do
    pids[#pids + 1] = pid
  end
  return t, pids
end

test("commands, data and batches", function()
  local server <close>, settings = serve()
  local r <close> = check.ok(remote.open(settings))
  local result = check.ok(r:run("cat; echo bad >&2; exit 3", { stdin = "in" }))
  check.equal({ result.code, result.out, result.err }, { 3, "in", "bad\n" })
  local results = check.ok(r:batch { "echo 1", "exit 2", "kill -9 $$", "echo 4" })
  check.equal({ results[1].out, results[2].code, results[3].signal, results[4].out },
    { "1\n", 2, "KILL", "4\n" })
  local big = check.ok(r:run "head -c 10485760 /dev/zero >&2 & head -c 10485760 /dev/zero; wait")
  check.equal({ #big.out, #big.err }, { 10485760, 10485760 })
  check.ok(server)
end)

test("20 tasks at once with MaxSessions 2", function()
  local server <close>, settings = serve { settings = { "MaxSessions 2" } }
  local r <close> = check.ok(remote.open(settings))
  local tasks = {}
  for i = 1, 20 do
    tasks[i] = task.spawn(r.run, r, "echo " .. i)
  end
  for i, t in ipairs(tasks) do
    check.equal(check.ok(t:join()).out, i .. "\n")
  end
  check.equal(r.most, 2)
  check.ok(server)
end)

test("a command that is killed has failed by a signal", function()
  local server <close>, settings = serve()
  local r <close> = check.ok(remote.open(settings))
  local t, pids = sleeper(r)
  check.ok(program.run { "kill", "-9", pids[1] })
  check.equal(check.ok(t:join()).signal, "KILL")
  check.ok(program.run { "kill", "-9", pids[2] })
  check.ok(server)
end)

test("an sshd that is killed while a command runs: lost, and nothing is left", function()
  local server <close>, settings = serve()
  local r <close> = check.ok(remote.open(settings))
  local t, pids = sleeper(r)
  local parents = program.run { "ps", "-o", "pid=", "--ppid", tostring(server.daemon:pid()) }.out
  for pid in parents:gmatch "%d+" do
    local session = program.run { "ps", "-o", "pid=", "--ppid", pid }.out
    program.run { "kill", "-9", session:match "%d+" or pid }
    program.run { "kill", "-9", pid }
  end
  local result, message, code = t:join()
  check.equal({ result, code }, { nil, "ECLOSED" })
  check.contains(message, "web1: the shell was lost while the command ran")
  gone_within(3, pids)
  check.equal(check.ok(r:run "echo again").out, "again\n", "a new connection is made")
end)

test("a server that closes a quiet channel: lost, not a success", function()
  local server <close>, settings = serve { settings = { "ChannelTimeout session:*=5" } }
  local r <close> = check.ok(remote.open(settings))
  local result, message, code = r:run "echo $$; sleep 60"
  check.equal({ result, code }, { nil, "ECLOSED" })
  check.contains(message, "web1: the shell was lost while the command ran")
  check.equal(check.ok(r:run "echo again").out, "again\n")
  check.ok(server)
end)

test("the operator's program is killed: within 2 s nothing is left", function()
  local server <close>, settings = serve()
  local script = server:file("script.lua", ([[
    local r = require("kb.remote").open { address = "127.0.0.1", port = %d, user = %q,
      keys = { %q }, agent = false, host_key = { %q } }
    r:run(%q, { on_output = function(_, data)
      io.write(data)
      io.flush()
    end })]]):format(settings.port, settings.user, settings.keys[1], settings.host_key[1], SLEEPER))
  local process, pipes = check.ok(proc.spawn { argv = { program.kbrun, "lua", script } })
  local said = ""
  do
    local _ <close> = task.within(10)
    while not said:match "%d+\n%d+\n" do
      said = said .. check.ok(pipes.stdout:read())
    end
  end
  check.ok(process:kill(9))
  process:wait()
  gone_within(2, { said:match "(%d+)\n(%d+)\n" })
  for _, stream in pairs(pipes) do
    stream:close()
  end
end)

test("Ctrl-C ends `sh -c 'sleep 300 & wait'` on 6 hosts within 2 s", function()
  local server <close>, settings = serve()
  local hosts = {}
  for i = 1, 6 do
    hosts[i] = ("h%d: { ansible_host: 127.0.0.1, ansible_port: %d }"):format(i, settings.port)
  end
  local known = server:file("known_hosts", ("[127.0.0.1]:%d %s\n"):format(settings.port,
    settings.host_key[1]))
  local inventory = server:file("hosts.yaml", ([[
all:
  vars: { ansible_ssh_private_key_file: %s, ansible_ssh_common_args: -o UserKnownHostsFile=%s }
  hosts:
    %s
]]):format(settings.keys[1], known, table.concat(hosts, "\n    ")))
  local process, pipes = check.ok(proc.spawn { argv = { program.kbrun, "exec", "-i", inventory,
    "all", "--", "echo $$; sh -c 'sleep 300 & echo $!; wait'" } })
  local said, count = "", 0
  do
    local _ <close> = task.within(20)
    while count < 12 do
      said = said .. check.ok(pipes.stdout:read())
      count = select(2, said:gsub("%d+\n", ""))
    end
  end
  check.ok(process:kill(2))
  local pids = {}
  for pid in said:gmatch "| (%d+)" do
    pids[#pids + 1] = pid
  end
  gone_within(2, pids)
  check.equal(process:wait(), 5)
  for _, stream in pairs(pipes) do
    stream:close()
  end
end)

test("login shells that are not POSIX survive", function()
  for _, login in ipairs { "/bin/bash", "/usr/bin/fish", "/bin/tcsh", "/bin/dash" } do
    local inner = check.ok(local_transport.open {})
    local sh <close> = check.ok(shell.open({ exec = function(_, command)
      return inner:exec(("command='%s'; exec %s -c \"$command\""):format(
        (command:gsub("'", [['\'']])), login))
    end }, { name = login }))
    check.equal(check.ok(sh:run "echo $((6 * 7)) '!!' \"$LC_ALL\"").out, "42 !! C\n", login)
  end
end)

local function scratch(fn)
  local server <close>, settings = serve()
  local r <close> = check.ok(remote.open(settings))
  fn(r, server.dir)
end

test("64 MB both ways, in constant memory", function()
  scratch(function(r, dir)
    local block = crypto.random(1 << 20)
    local from <close> = check.ok(io.open(dir .. "/from", "wb"))
    for i = 1, 64 do
      from:write(("%08d"):format(i), block:sub(9))
    end
    from:close()
    collectgarbage()
    check.ok(r:put { path = dir .. "/to", file = dir .. "/from" })
    check.ok(r:get { path = dir .. "/to", to = dir .. "/back" })
    check.equal(program.run({ "cmp", dir .. "/from", dir .. "/back" }).status, 0)
    check.equal(collectgarbage "count" < 32 * 1024, true, "KiB of memory of Lua's")
  end)
end)

test("an upload that is cut goes on where it ended", function()
  local server <close>, settings = serve()
  local r <close> = check.ok(remote.open(settings))
  local text = crypto.random(1 << 20):rep(24)
  check.ok(sys.write_file(server.dir .. "/from", text))
  local spec = { path = server.dir .. "/to", file = server.dir .. "/from" }
  spec.progress = function(done)
    if done > 16 << 20 then
      r.connection:close()
    end
  end
  local ok, _, code = r:put(spec)
  check.equal({ ok, code }, { nil, "ECLOSED" })
  check.equal(sys.stat(spec.path), nil)
  spec.progress = nil
  local _, info = check.ok(r:put(spec))
  check.equal(info.sent < 24 << 20, true, "all was sent again")
  check.equal(sys.read_file(spec.path) == text, true)
end)

test("a download that is cut goes on where it ended", function()
  local server <close>, settings = serve()
  local r <close> = check.ok(remote.open(settings))
  local size = 24 << 20
  local text = crypto.random(1 << 20):rep(24)
  check.ok(sys.write_file(server.dir .. "/from", text))
  local spec = { path = server.dir .. "/from", to = server.dir .. "/to" }
  local done = 0
  spec.progress = function(now)
    done = now
    if now > 16 << 20 then
      r.connection:close()
    end
  end
  local ok, _, code = r:get(spec)
  check.equal({ ok, code }, { nil, "ECLOSED" })
  check.equal(sys.stat(spec.to), nil)
  spec.progress = nil
  local before = r:stats().received
  local _, info = check.ok(r:get(spec))
  check.equal(info.received, size - done)
  local came = r:stats().received - before
  check.equal(came >= size - done and came < size - done + 4096, true, came .. " bytes came")
  check.equal(sys.read_file(spec.to) == text, true)
end)

-- An inventory of one server.
local function inventory_of(server, settings)
  local known = server:file("known_hosts", ("[127.0.0.1]:%d %s\n"):format(settings.port,
    settings.host_key[1]))
  return server:file("one.yaml", ([[
all:
  vars: { ansible_ssh_private_key_file: %s, ansible_ssh_common_args: -o UserKnownHostsFile=%s }
  hosts: { h1: { ansible_host: 127.0.0.1, ansible_port: %d } }
]]):format(settings.keys[1], known, settings.port))
end

-- The size of what is there of a file on its way to this directory.
local function part_size(dir)
  for _, name in ipairs(sys.list(dir) or {}) do
    if name:find "^%.kbrun%..*%.part$" then
      return (sys.stat(dir .. "/" .. name) or {}).size or 0
    end
  end
  return 0
end

test("kbrun copy that is killed half-way goes on where it ended, both ways", function()
  local server <close>, settings = serve()
  local inventory = inventory_of(server, settings)
  local size = 256 << 20
  check.equal(program.run({ "sh", "-c", "head -c " .. size .. " /dev/urandom >from",
    }, { cwd = server.dir }).status, 0)
  for _, words in ipairs { { server.dir .. "/from", "h1:" .. server.dir .. "/there/to", "to" },
    { "h1:" .. server.dir .. "/from", server.dir .. "/there", "h1" } } do
    local there = server.dir .. "/there"
    check.ok(sys.mkdir(there))
    local argv = { program.kbrun, "copy", "--json", "-i", inventory, words[1], words[2] }
    local process = check.ok(proc.spawn { argv = argv, stdout = "null", stderr = "null",
      stdin = "null" })
    do
      local _ <close> = task.within(60)
      while part_size(there) < size // 8 do
        check.ok(task.sleep(0.002), "waiting for the first part")
      end
    end
    check.ok(process:kill(9))
    process:wait()
    check.equal(sys.stat(there .. "/" .. words[3]), nil)
    local left = part_size(there)
    local r = program.run(argv)
    check.equal(r.status, 0, r.err)
    local came = tonumber(r.out:match '"bytes":(%d+)')
    check.equal(came >= 0 and came <= size - left, true, ("%d and %d"):format(came, left))
    check.equal(program.run({ "cmp", server.dir .. "/from", there .. "/" .. words[3] }).status, 0)
    check.equal(#sys.list(there), 1)
    check.equal(program.run({ "rm", "-rf", there }).status, 0)
  end
end)

test("a command that never reads its input ends with a lost operator", function()
  local server <close>, settings = serve()
  local script = server:file("script.lua", ([[
    local r = require("kb.remote").open { address = "127.0.0.1", port = %d, user = %q,
      keys = { %q }, agent = false, host_key = { %q } }
    local pieces = 0
    local function piece()
      pieces = pieces + 1
      io.write(pieces == 10 and "a megabyte is on its way\n" or "")
      io.flush()
      return ("x"):rep(100000)
    end
    r:run(%q, { stdin = piece, on_output = function(_, data)
      io.write(data)
      io.flush()
    end })]]):format(settings.port, settings.user, settings.keys[1], settings.host_key[1],
    "echo sid $(ps -o sid= -p $PPID); " .. SLEEPER))
  local process, pipes = check.ok(proc.spawn { argv = { program.kbrun, "lua", script } })
  local said = ""
  do
    local _ <close> = task.within(10)
    while not (said:match "%d+\n.-%d+\n" and said:find "megabyte") do
      said = said .. check.ok(pipes.stdout:read())
    end
  end
  check.ok(process:kill(9))
  process:wait()
  local pids = {}
  for pid in said:gmatch "%d+" do
    pids[#pids + 1] = pid
  end
  gone_within(2, pids)
  local sid = check.ok(said:match "sid%s+(%d+)")
  local left -- of the host's shell, and of what feeds the command
  local deadline = task.now() + 3
  repeat
    left = program.run({ "pgrep", "-a", "-s", sid }).out
  until left == "" or task.now() > deadline or not task.sleep(0.02)
  check.equal(left, "")
  for _, stream in pairs(pipes) do
    stream:close()
  end
end)

-- What the ssh program needs to know the server.
local function for_openssh(server, settings)
  settings.known_hosts = { server:file("known_hosts", ("[127.0.0.1]:%d %s\n"):format(
    settings.port, settings.host_key[1])) }
  return settings
end

test("the same over the ssh program", function()
  local server <close>, settings = serve()
  settings = for_openssh(server, settings)
  settings.transport = "openssh"
  local r <close> = check.ok(remote.open(settings))
  check.equal(check.ok(r:run("cat; exit 3", { stdin = "in" })).out, "in")
  local t, pids = sleeper(r)
  t:cancel()
  check.raises("cancelled", t.join, t)
  gone_within(2, pids)
  local text = crypto.random(1 << 20)
  check.ok(r:put { path = server.dir .. "/to", content = text })
  check.equal(sys.read_file(server.dir .. "/to") == text, true)
end)

test("a server that only the ssh program can speak to is reached by it", function()
  local server <close>, settings = serve { host_key = { "-t", "rsa", "-b", "2048", "-N", "" },
    settings = { "MACs hmac-sha2-256-etm@openssh.com,umac-128-etm@openssh.com",
      "Ciphers aes128-ctr", "HostKeyAlgorithms rsa-sha2-256" } }
  local connection, _, code = require("kb.transport.ssh").open(settings)
  if connection then
    connection:close() -- this libssh2 can
  else
    check.equal(code, "EUNSUPPORTED")
  end
  local r <close> = check.ok(remote.open(for_openssh(server, settings)))
  check.equal(check.ok(r:run "echo there").out, "there\n")
end)

test("the same on dropbear", function()
  local user <close> = account.new()
  local server <close> = dropbear.new(user)
  local r <close> = check.ok(remote.open { name = "web1", address = "127.0.0.1",
    port = server.port, user = user.name, keys = { server.user_key }, agent = false,
    host_key = { server.host_key } })
  check.equal(check.ok(r:run("cat; exit 3", { stdin = "in" })).out, "in")
  local t, pids = sleeper(r)
  t:cancel()
  check.raises("cancelled", t.join, t)
  gone_within(2, pids)
  local text = crypto.random(1 << 20)
  check.ok(r:put { path = user.home .. "/to", content = text })
  check.equal(sys.read_file(user.home .. "/to") == text, true)
end)
