-- What OpenSSH's configuration says is done, unless the inventory says otherwise.
local test = ...
local check = require "lib.check"
local reach = require "lib.reach"
local sshd = require "lib.sshd"
local ssh_config = require "kb.transport.ssh_config"
local program = require "lib.program"
local sys = require "kb.core.sys"
local task = require "kb.core.task"
local transport = require "kb.transport.ssh"

local function config(server, text)
  ssh_config.forget()
  return server:file("ssh_config", text)
end

test("a target without a configuration stays as it is", function()
  local target = { address = "web1", ssh_config = false }
  check.equal(ssh_config.complete(target) == target, true)
end)

test("an alias brings address, port, user, key, known hosts", function()
  local server <close> = sshd.new()
  server:listen()
  local known = server:file("known",
    ("[127.0.0.1]:%d %s\n"):format(server.port, server:public(server.host_key)))
  local path = config(server, ([[
Host web
  HostName 127.0.0.1
  Port %d
  User %s
  IdentityFile %s
  IdentitiesOnly yes
  UserKnownHostsFile %s
]]):format(server.port, sys.self().user, server.user_key, known))
  reach.works { address = "web", ssh_config = path, agent = false }
  local connection, message = transport.open { address = "web", ssh_config = path, agent = false,
    port = 1 }
  check.equal(connection, nil)
  check.contains(message, "web (127.0.0.1:1): connect: Connection refused")
end)

test("ProxyJump, by way of an alias with settings of its own", function()
  local bastion <close> = sshd.new()
  local server <close> = sshd.new()
  bastion:listen()
  server:listen()
  local path = config(server, ([[
Host *
  StrictHostKeyChecking accept-new
  UserKnownHostsFile %s/known
  IdentityAgent none
Host gate
  HostName 127.0.0.1
  Port %d
  IdentityFile %s
Host web
  HostName 127.0.0.1
  Port %d
  IdentityFile %s
  ProxyJump gate
]]):format(server.dir, bastion.port, bastion.user_key, server.port, server.user_key))
  local target = { address = "web", ssh_config = path, user = sys.self().user }
  reach.works(target)
  local filled = check.ok(ssh_config.complete(target))
  check.equal({ filled.name, filled.port, filled.agent }, { "web", server.port, false })
  check.equal(#filled.jumps, 1)
  check.equal({ filled.jumps[1].name, filled.jumps[1].port }, { "gate", bastion.port })
  -- A jump of the inventory that is an alias with a jump of its own.
  local behind = reach.target(server, { jumps = { { address = "web", ssh_config = path } } })
  behind.ssh_config = false
  local connection <close> = check.ok(transport.open(behind))
  check.contains(connection.place, "via web")
end)

test("without a user's file of known hosts, a new key is written nowhere", function()
  local server <close> = sshd.new()
  local path = config(server, "Host web\n  HostName 127.0.0.1\n  UserKnownHostsFile none\n")
  local target = check.ok(ssh_config.complete { address = "web", ssh_config = path })
  check.equal(target.known_hosts[1], "/dev/null")
end)

test("ProxyCommand carries a connection", function()
  local server <close> = sshd.new()
  local path = config(server, ([[
Host web
  ProxyCommand /usr/sbin/sshd -i -f %s
]]):format(server.config))
  local target = reach.target(server, { address = "web", ssh_config = path })
  target.port = nil
  reach.works(target)
end)

test("what a ProxyCommand says before it gives up is told", function()
  local server <close> = sshd.new()
  local path = config(server,
    "Host web\n  ProxyCommand echo 'no ticket for %h: log in anew' >&2; exit 3\n")
  local _ <close> = task.within(1)
  local connection, message = transport.open { address = "web", ssh_config = path }
  check.equal(connection, nil)
  check.contains(message, "the ProxyCommand says: no ticket for web: log in anew")
  check.equal(#sys.glob "/tmp/kbrun-proxy-*", 0)
end)

test("an ssh that is killed, hangs or cannot be run is no missing ssh, and it is said", function()
  local server <close> = sshd.new()
  local function fails(text, words)
    local path = config(server, text)
    local connection, message, code = transport.open { address = "web", ssh_config = path }
    check.equal({ connection, code }, { nil, "EINVAL" })
    check.contains(message, "ssh -G -T -F " .. path)
    check.contains(message, words)
  end
  fails('Match exec "kill -9 $PPID"\n  User x\n', "ended by signal KILL")
  do
    local _ <close> = task.within(0.5)
    fails('Match exec "sleep 30"\n  User x\n', "timed out")
  end
  local pid, all = tostring(sys.self().pid), nil
  local _ <close> = setmetatable({}, { __close = function()
    check.equal(program.run({ "prlimit", "--pid", pid, "--nofile=" .. all }).status, 0)
  end })
  all = program.run({ "prlimit", "--pid", pid, "--nofile", "--output=SOFT", "--noheadings" }).out
    :match("%d+") .. ":"
  local files = {}
  local function full()
    local path = config(server, "Host web\n  User x\n")
    check.equal(program.run({ "prlimit", "--pid", pid, "--nofile=40:" }).status, 0)
    for file in function() return (io.open "/dev/null") end do
      files[#files + 1] = file
    end
    return transport.open { address = "web", ssh_config = path }
  end
  local connection, message = full()
  for _, file in ipairs(files) do
    file:close()
  end
  check.equal(connection, nil)
  check.contains(message, "Too many open files")
  check.contains(message, "ssh -G")
end)

test("jumps in a circle are refused", function()
  local server <close> = sshd.new()
  local path = config(server, "Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n")
  local connection, message, code = transport.open { address = "a", ssh_config = path }
  check.equal({ connection, code }, { nil, "EINVAL" })
  check.contains(message, "ProxyJump goes in a circle")
end)

test("a configuration that ssh does not understand is an error with its words", function()
  local server <close> = sshd.new()
  local path = config(server, "Host web\n  NoSuchKeyword yes\n")
  local connection, message, code = transport.open { address = "web", ssh_config = path }
  check.equal({ connection, code }, { nil, "EINVAL" })
  check.contains(message, "nosuchkeyword")
end)
