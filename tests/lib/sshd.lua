--- A real sshd for tests: over a socket pair (`sshd -i`) or on a port of 127.0.0.1.
local net = require "kb.core.net"
local proc = require "kb.core.proc"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local M = {}

local SSHD = "/usr/sbin/sshd"

local function must(value, message)
  return value or error(message, 0)
end

local function run(argv)
  local process = must(proc.spawn { argv = argv, stdin = "null", stdout = "null", stderr = "null" })
  local status = process:wait()
  return status == 0 or error(table.concat(argv, " ") .. " failed", 0)
end

local Server = {}
Server.__index = Server

local function remove_tree(path)
  if (sys.stat(path, false) or {}).kind == "directory" then
    for _, name in ipairs(sys.list(path)) do
      remove_tree(path .. "/" .. name)
    end
  end
  sys.remove(path)
end

--- Write a file in the server's directory; returns its path.
function Server:file(name, text, mode)
  local path = self.dir .. "/" .. name
  must(sys.write_file(path, text, mode))
  return path
end

--- Make a key pair with ssh-keygen's options; returns the private key's path.
function Server:key(name, ...)
  local path = self.dir .. "/" .. name
  local options = { ... }
  if #options == 0 then
    options = { "-t", "ed25519", "-N", "" }
  end
  run { "ssh-keygen", "-q", "-f", path, "-C", "test", table.unpack(options) }
  return path
end

--- The public half of a private key, as one line.
function M.public(path)
  return (must(sys.read_file(path .. ".pub")):gsub("\n$", ""))
end

--- The same, of a server's key or another one.
function Server:public(path)
  return M.public(path)
end

--- Let these public key lines in.
function Server:authorize(...)
  -- Other users than root read it too, as themselves.
  self:file("authorized_keys", table.concat({ ... }, "\n") .. "\n", tonumber("644", 8))
end

local function settings_of(self, options)
  local lines = {
    "PidFile none",
    "StrictModes no",
    "UsePAM no",
    "PermitRootLogin yes",
    "LogLevel ERROR",
    "AuthorizedKeysFile " .. self.dir .. "/authorized_keys",
  }
  -- For sshd the first line that sets something counts.
  for i, line in ipairs(options.settings or {}) do
    table.insert(lines, i, line)
  end
  if not options.host_key then
    self.host_key = self:key "host_key"
  else
    self.host_key = self:key("host_key", table.unpack(options.host_key))
  end
  lines[#lines + 1] = "HostKey " .. self.host_key
  return table.concat(lines, "\n") .. "\n"
end

--- A server's directory, keys and settings; nothing runs yet. To be closed.
-- @param options table: settings (lines for sshd_config, which come first),
-- host_key (options for ssh-keygen)
function M.new(options)
  local self = setmetatable({ processes = {} }, Server)
  self.dir = must(sys.mkdtemp "/tmp/kbrun-sshd-")
  sys.chmod(self.dir, tonumber("755", 8))
  sys.mkdir "/run/sshd"
  self.config = self:file("sshd_config", settings_of(self, options or {}))
  self.user_key = self:key "user_key"
  self:authorize(self:public(self.user_key))
  return self
end

--- One connection: a stream to an `sshd -i` of its own.
function Server:connect()
  local process, streams = proc.spawn {
    argv = { SSHD, "-i", "-e", "-f", self.config },
    socket = true,
    stderr = "null",
  }
  must(process, streams)
  self.processes[#self.processes + 1] = process
  return streams.socket, process
end

-- A port that was free a moment ago; whoever loses the race tries another one.
local function free_port()
  local listener <close> = must(net.listen("0.0.0.0", 0))
  return listener:port()
end

--- Start a program that listens on a port; returns the port.
-- @param argv_for function: port -> argv
function Server:listen_with(argv_for)
  for _ = 1, 50 do
    local port = free_port()
    local process = must(proc.spawn {
      argv = argv_for(port),
      stdin = "null",
      stdout = "null",
      stderr = "null",
    })
    if M.answers("127.0.0.1", port, process) then
      self.processes[#self.processes + 1] = process
      self.port, self.daemon = port, process
      return port
    end
    process:kill(15)
    process:wait()
  end
  error("no port to listen on", 0)
end

--- Listen on 127.0.0.1, or on all addresses; returns the port.
-- @param options table: everywhere (boolean), log (boolean: for self:log())
function Server:listen(options)
  options = options or {}
  return self:listen_with(function(port)
    local argv = { SSHD, "-D", "-f", self.config, "-p", tostring(port), "-o",
      "ListenAddress=" .. (options.everywhere and "0.0.0.0" or "127.0.0.1") }
    table.move(options.log and { "-E", self.dir .. "/log" } or { "-e" }, 1, 2, #argv + 1, argv)
    return argv
  end)
end

--- What it has logged.
function Server:log()
  return must(sys.read_file(self.dir .. "/log"))
end

--- An ssh-agent of its own: path, add(key, passphrase), close.
function Server:agent()
  local path = self.dir .. "/agent"
  local process = must(proc.spawn {
    argv = { "ssh-agent", "-D", "-a", path },
    stdin = "null",
    stdout = "null",
    stderr = "null",
  })
  while not sys.stat(path) and task.sleep(0.01) do
    assert(process:pid())
  end
  local function add(_, key, passphrase)
    local ask = self:file("ask", ("#!/bin/sh\necho '%s'\n"):format(passphrase), tonumber("700", 8))
    run { "env", "SSH_AUTH_SOCK=" .. path, "SSH_ASKPASS=" .. ask, "SSH_ASKPASS_REQUIRE=force",
      "ssh-add", key }
  end
  return setmetatable({ path = path, add = add }, {
    __close = function()
      process:kill(15)
      process:wait()
    end,
  })
end

--- Whether something listens there before the process ends or 5 s are over.
function M.answers(address, port, process)
  local deadline = task.now() + 5
  local target = must(net.resolve(address, port))[1]
  while task.now() < deadline and (task.left() or 1) > 0 do
    local stream = net.connect(target)
    if stream then
      stream:close()
      return true
    end
    local _ <close> = task.within(0.02)
    local gone = process:wait()
    if gone then
      return false
    end
  end
  return false
end

--- Stop what runs and remove the files.
function Server:close()
  local _ <close> = task.shield(10)
  for _, process in ipairs(self.processes) do
    process:kill(15)
  end
  for _, process in ipairs(self.processes) do
    process:wait()
  end
  self.processes = {}
  remove_tree(self.dir)
end

Server.__close = Server.close

return M
