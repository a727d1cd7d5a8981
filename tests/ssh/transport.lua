-- Connections to real servers: authentication, host keys, limits, and what is said
-- when something is wrong.
local test = ...
local account = require "lib.account"
local check = require "lib.check"
local dropbear = require "lib.dropbear"
local known_hosts = require "kb.transport.known_hosts"
local openssh = require "kb.transport.openssh"
local proc = require "kb.core.proc"
local program = require "lib.program"
local reach = require "lib.reach"
local secret = require "kb.secret"
local sshd = require "lib.sshd"
local sys = require "kb.core.sys"
local task = require "kb.core.task"
local transport = require "kb.transport.ssh"

local me = sys.self().user
local fails, target_of, works = reach.fails, reach.target, reach.works

local function listening(options)
  local server = sshd.new(options)
  server:listen()
  return server
end

test("an ed25519 key", function()
  local server <close> = listening()
  works(target_of(server))
end)

test("an RSA key signs with SHA-2", function()
  local server <close> = listening()
  local path = server:key("rsa", "-t", "rsa", "-b", "2048", "-N", "")
  server:authorize(server:public(path))
  works(target_of(server, { keys = { path } }))
end)

test("ecdsa keys of all sizes", function()
  local server <close> = listening()
  for _, bits in ipairs { "256", "384", "521" } do
    local path = server:key("ecdsa" .. bits, "-t", "ecdsa", "-b", bits, "-N", "")
    server:authorize(server:public(path))
    works(target_of(server, { keys = { path } }))
  end
end)

test("a key with a passphrase is decrypted once", function()
  local server <close> = listening()
  local path = server:key("locked", "-t", "ed25519", "-N", "open sesame", "-a", "4")
  server:authorize(server:public(path))
  local asked = 0
  local function passphrase()
    asked = asked + 1
    return "open sesame"
  end
  for _ = 1, 3 do
    works(target_of(server, { keys = { path }, passphrase = passphrase }))
  end
  check.equal(asked, 1)
  local wrong = server:key("locked2", "-t", "ed25519", "-N", "another one", "-a", "4")
  fails(target_of(server, { keys = { wrong } }), "EAUTH", "web1 (127.0.0.1:", "auth: ", wrong,
    "it wants a passphrase")
  fails(target_of(server, { keys = { wrong }, passphrase = "guess" }), "EAUTH",
    "the passphrase is wrong")
end)

test("keys that the server does not know are named with their fingerprints", function()
  local server <close> = listening()
  local path = server:key "stranger"
  local blob = known_hosts.parse_key(server:public(path))
  fails(target_of(server, { keys = { path } }), "EAUTH", "web1", "user " .. me .. " is not let in",
    path, known_hosts.fingerprint(blob), "was refused")
end)

test("an unknown host key is shown and refused, with the lines that may have held it", function()
  local server <close> = listening()
  local file = server:file("known", "# ours\n127.0.0.1 ssh-ed25519 torn\n")
  local blob = known_hosts.parse_key(server:public(server.host_key))
  fails(target_of(server, { host_key = false, known_hosts = { file } }), "EHOSTKEY", "web1",
    "host key", "unknown", known_hosts.fingerprint(blob), file .. ":2: not a known host's line")
end)

test("accept-new writes the key down, and refuses another one afterwards", function()
  local server <close> = listening()
  local file = server.dir .. "/known"
  local changes = { host_key = false, known_hosts = { file }, host_key_policy = "accept-new" }
  works(target_of(server, changes))
  check.contains(sys.read_file(file), ("[127.0.0.1]:%d ssh-ed25519 "):format(server.port))
  works(target_of(server, changes))
  local other = server:key "other"
  server:file("known", ("[127.0.0.1]:%d %s\n"):format(server.port, server:public(other)))
  known_hosts.forget()
  fails(target_of(server, changes), "EHOSTKEY", "CHANGED",
    known_hosts.fingerprint(known_hosts.parse_key(server:public(other))),
    known_hosts.fingerprint(known_hosts.parse_key(server:public(server.host_key))), file .. ":1")
end)

test("a key of a type of which none is known is no changed key, and not accepted either", function()
  local server <close> = listening()
  local rsa = server:key("rsa", "-t", "rsa", "-b", "2048", "-N", "")
  local file = server:file("known", ("[127.0.0.1]:%d %s\n"):format(server.port, server:public(rsa)))
  local message = fails(target_of(server,
    { host_key = false, known_hosts = { file }, host_key_policy = "accept-new" }), "EHOSTKEY",
    "it shows ssh-ed25519 SHA256:", "known are keys of other types alone: ssh-rsa SHA256:",
    file .. ":1")
  check.equal(message:find "CHANGED", nil)
end)

test("a new key is not accepted while one of the files cannot be read", function()
  local server <close> = listening()
  local file = server.dir .. "/known"
  local changes = { host_key = false, known_hosts = { file, server.dir },
    host_key_policy = "accept-new" }
  fails(target_of(server, changes), "EHOSTKEY", "web1", "its key cannot be looked up", server.dir,
    "Is a directory")
  check.equal(sys.stat(file), nil)
end)

test("an agent's key, also as the holder of a key that is locked here", function()
  local server <close> = sshd.new()
  server:listen()
  local agent <close> = server:agent()
  local locked = server:key("locked", "-t", "rsa", "-b", "2048", "-N", "open sesame")
  server:authorize(server:public(locked))
  agent:add(locked, "open sesame")
  works(target_of(server, { keys = { locked }, agent = agent.path }))
  works(target_of(server, { keys = {}, agent = agent.path }))
  fails(target_of(server, { keys = {}, agent = agent.path, identities_only = true }), "EAUTH",
    "there is no key to offer")
  fails(target_of(server, { keys = {}, agent = "/nonexistent/agent" }), "EAUTH",
    "agent /nonexistent/agent: ")
end)

test("no more keys are offered than a server takes", function()
  local server <close> = listening()
  local keys = {}
  for i = 1, 8 do
    keys[i] = server:key("stranger" .. i)
  end
  local message = fails(target_of(server, { keys = keys }), "EAUTH")
  check.equal(select(2, message:gsub("was refused", "")), 5)
end)

test("a wrong password is tried once, and said to be wrong", function()
  local user <close> = account.new()
  local server <close> = sshd.new { settings = { "UsePAM yes", "LogLevel VERBOSE" } }
  server:listen { log = true }
  local changes = { user = user.name, keys = {}, password = user.password }
  works(target_of(server, changes))
  changes.password = "wrong " .. user.password
  fails(target_of(server, changes), "EAUTH", "web1", "auth", user.name, "the password was refused")
  check.equal(select(2, server:log():gsub("Failed password", "")), 1)
  changes.password = nil
  fails(target_of(server, changes), "EAUTH", "there is no password to give")
end)

test("keyboard-interactive alone, and a wrong password with it", function()
  local user <close> = account.new()
  local server <close> = sshd.new {
    settings = { "UsePAM yes", "KbdInteractiveAuthentication yes", "PasswordAuthentication no",
      "AuthenticationMethods keyboard-interactive" },
  }
  server:listen()
  local changes = { user = user.name, keys = {}, password = secret.new(user.password) }
  works(target_of(server, changes))
  changes.password = "wrong " .. user.password
  fails(target_of(server, changes), "EAUTH", "the password was refused")
end)

test("a key and then a password, where a server wants both", function()
  local user <close> = account.new()
  local server <close> = listening {
    settings = { "UsePAM yes", "AuthenticationMethods publickey,password" },
  }
  works(target_of(server, { user = user.name, password = user.password }))
end)

test("an RSA host key is beyond libssh2 1.10, and the error says so", function()
  local server <close> = listening { host_key = { "-t", "rsa", "-b", "2048", "-N", "" } }
  if require("kb.core.ssh").version() >= "1.11" then
    works(target_of(server))
  else
    fails(target_of(server), "EUNSUPPORTED", "web1", "kex", "host key methods (rsa-sha2-512",
      "transport = openssh")
  end
end)

test("a server of EtM alone is beyond libssh2 1.10, and the error says so", function()
  local server <close> = listening {
    settings = { "MACs hmac-sha2-256-etm@openssh.com", "Ciphers aes256-ctr" },
  }
  if require("kb.core.ssh").version() >= "1.11" then
    works(target_of(server))
  else
    fails(target_of(server), "EUNSUPPORTED", "web1", "kex",
      "integrity (MAC) methods (hmac-sha2-256-etm@openssh.com)", "transport = openssh")
  end
  works(target_of(server), openssh.open)
end)

test("MaxSessions is told, and a session that ends makes room", function()
  local server <close> = listening { settings = { "MaxSessions 2" } }
  local connection <close> = check.ok(transport.open(target_of(server)))
  local first = check.ok(connection:exec "cat")
  local second = check.ok(connection:exec "cat")
  local third, message, code = connection:exec "true"
  check.equal({ third, code }, { nil, "EREFUSED" })
  check.contains(message, "web1")
  check.contains(message, "open: the server opens no more sessions")
  first:close()
  check.equal(reach.run(connection, "echo again"), "again\n")
  second:close()
end)

test("a channel that the server closes for idleness is at its end", function()
  local server <close> = listening { settings = { "ChannelTimeout session:*=1" } }
  local connection <close> = check.ok(transport.open(target_of(server)))
  local channel <close> = check.ok(connection:exec "sleep 60")
  local started = task.now()
  check.equal(channel.stdout:read(), nil)
  channel:wait()
  check.equal(task.now() - started < 20, true)
  check.equal(connection:alive(), true)
end)

test("the signal that ended a command is told", function()
  local server <close> = listening()
  local connection <close> = check.ok(transport.open(target_of(server)))
  local channel <close> = check.ok(connection:exec "kill -9 $$")
  check.equal(channel.stdout:read(), nil)
  check.equal({ channel:wait() }, { nil, "KILL" })
end)

test("the ssh program knows a server by its alias, too", function()
  local server <close> = listening()
  local known = server:file("known", ("farm %s\n"):format(server:public(server.host_key)))
  local changes = { host_key = false, known_hosts = { known }, host_key_alias = "farm" }
  works(target_of(server, changes))
  works(target_of(server, changes), openssh.open)
end)

test("the ssh program ends with us, also when we are killed, and leaves no file", function()
  local server <close> = listening()
  local target = target_of(server)
  local script = server:file("script.lua", ([[
    local connection = assert(require("kb.transport.openssh").open { name = "web1", user = %q,
      address = "127.0.0.1", port = %d, keys = { %q }, agent = false, host_key = { %q } })
    io.write(connection._dir, "\n")
    io.flush()
    require("kb.core.task").sleep(60)]]):format(target.user, target.port, target.keys[1],
    target.host_key[1]))
  local process, pipes = check.ok(proc.spawn { argv = { program.kbrun, "lua", script } })
  local said = ""
  do
    local _ <close> = task.within(20)
    while not said:find "\n" do
      said = said .. check.ok(pipes.stdout:read())
    end
  end
  local dir = said:match "^[^\n]+"
  check.ok(sys.stat(dir .. "/control"))
  check.ok(process:kill(9))
  process:wait()
  local deadline = task.now() + 5
  local left
  repeat
    left = program.run({ "pgrep", "-f", dir }).out
  until left == "" and not sys.stat(dir) or task.now() > deadline or not task.sleep(0.05)
  check.equal({ left, (sys.stat(dir)) }, { "" })
  for _, stream in pairs(pipes) do
    stream:close()
  end
end)

test("dropbear is as good a server", function()
  local user <close> = account.new()
  local server <close> = dropbear.new(user)
  local changes = { user = user.name, host_key = { server.host_key }, keys = { server.user_key } }
  works(target_of(server, changes))
  local rsa = server:key("rsa", "-t", "rsa", "-b", "2048", "-N", "")
  server:authorize(server:public(rsa))
  changes.keys = { rsa }
  works(target_of(server, changes))
  local large = server:key("rsa4096", "-t", "rsa", "-b", "4096", "-N", "")
  server:authorize(server:public(large))
  changes.keys = { rsa, large } -- the first one is refused
  works(target_of(server, changes))
  changes.keys, changes.password = {}, user.password
  works(target_of(server, changes))
  local connection <close> = check.ok(transport.open(target_of(server, changes)))
  local piece = ("0123456789abcdef"):rep(65536)
  local out, status = reach.run(connection, "cksum", piece)
  check.equal({ out:match "^%d+ (%d+)", status }, { tostring(#piece), 0 })
end)
