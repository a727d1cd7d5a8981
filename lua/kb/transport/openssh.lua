--- Connections by the ssh program, for servers that this libssh2 cannot speak to.
-- One ssh holds the connection (ControlMaster); each command is another one that
-- goes through it. Targets and connections are those of kb.transport.ssh.
local identity = require "kb.transport.identity"
local known_hosts = require "kb.transport.known_hosts"
local place_of = require "kb.transport.place"
local proc = require "kb.core.proc"
local secret = require "kb.secret"
local ssh_config = require "kb.transport.ssh_config"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local M = {}

local TERM, KILL = 15, 9
local TIMEOUTS = { connect = 10, auth = 20, open = 15 }

-- The file that holds what ssh is to know, in a directory of the connection.

-- An argument of ssh_config: in quotes, which it cannot escape.
local function word(value)
  value = tostring(value)
  if value:find '["\n]' then
    error(("%q cannot be given to ssh"):format(value), 0)
  end
  return '"' .. value .. '"'
end

local function words(list)
  local quoted = {}
  for i, value in ipairs(list) do
    quoted[i] = word(value)
  end
  return table.concat(quoted, " ")
end

local function host_key_lines(hop, dir, n)
  if not hop.host_key or #hop.host_key == 0 then
    local lines = {}
    if hop.known_hosts then
      local paths = {}
      for i, path in ipairs(hop.known_hosts) do
        paths[i] = identity.expand(path)
      end
      lines[1] = "UserKnownHostsFile " .. words(paths)
    end
    local strict = hop.host_key_policy == "accept-new" and "accept-new" or "yes"
    lines[#lines + 1] = "StrictHostKeyChecking " .. strict
    if hop.host_key_alias then
      lines[#lines + 1] = "HostKeyAlias " .. word(hop.host_key_alias)
    end
    return lines
  end
  local path, text = ("%s/known%d"):format(dir, n), {}
  for i, line in ipairs(hop.host_key) do
    if not known_hosts.parse_key(line) then
      error(("ssh needs a whole host key to pin, not %q"):format(line), 0)
    end
    text[i] = ("kbrun-hop-%d %s\n"):format(n, line)
  end
  assert(sys.write_file(path, table.concat(text)))
  return { "UserKnownHostsFile " .. word(path), "GlobalKnownHostsFile /dev/null",
    "StrictHostKeyChecking yes", ("HostKeyAlias kbrun-hop-%d"):format(n) }
end

local function hop_lines(chain, n, dir)
  local hop = chain[n]
  local lines = host_key_lines(hop, dir, n)
  local function add(format, ...)
    lines[#lines + 1] = format:format(...)
  end
  add("HostName %s", word(hop.address))
  add("Port %d", hop.port or 22)
  if hop.user then
    add("User %s", word(hop.user))
  end
  for _, path in ipairs(hop.keys or {}) do
    add("IdentityFile %s", word(identity.expand(path)))
  end
  if hop.identities_only then
    add("IdentitiesOnly yes")
  end
  if hop.agent ~= nil then
    add("IdentityAgent %s", hop.agent and word(hop.agent) or "none")
  end
  if hop.proxy_command then
    add("ProxyCommand %s", (hop.proxy_command:gsub("%%", "%%%%")))
  end
  if n > 1 then
    add("ProxyJump kbrun-hop-%d", n - 1)
  end
  return lines
end

local function write_config(chain, dir)
  local text = {}
  for n = 1, #chain do
    text[#text + 1] = ("Host kbrun-hop-%d"):format(n)
    for _, line in ipairs(hop_lines(chain, n, dir)) do
      text[#text + 1] = "  " .. line
    end
  end
  local last = chain[#chain]
  text[#text + 1] = "Host *"
  text[#text + 1] = ("  ConnectTimeout %d"):format(math.ceil(last.timeouts.connect))
  text[#text + 1] = "  NumberOfPasswordPrompts 1"
  text[#text + 1] = "  ServerAliveInterval 15"
  text[#text + 1] = "  LogLevel ERROR"
  text[#text + 1] = "  ControlPath " .. word(dir .. "/control")
  assert(sys.write_file(dir .. "/config", table.concat(text, "\n") .. "\n"))
end

-- Passwords reach ssh by a program that it runs to ask for them; they are in
-- files that only we may read, and only until the login is over.
local ASK = [[#!/bin/sh
case $1 in
*passphrase*) cat "${0%/*}/passphrase" ;;
*yes/no*) echo no ;;
*) cat "${0%/*}/password" ;;
esac
]]

local function write_answers(target, dir)
  for _, name in ipairs { "password", "passphrase" } do
    local value = target[name]
    if type(value) == "function" then
      value = value(target)
    end
    assert(sys.write_file(dir .. "/" .. name, (secret.reveal(value) or "") .. "\n"))
  end
  assert(sys.write_file(dir .. "/ask", ASK, tonumber("700", 8)))
end

local function environment(dir)
  local list = { "SSH_ASKPASS=" .. dir .. "/ask", "SSH_ASKPASS_REQUIRE=force", "DISPLAY=none" }
  for _, name in ipairs { "PATH", "HOME", "SSH_AUTH_SOCK", "LANG", "USER", "LOGNAME" } do
    local value = sys.getenv(name)
    list[#list + 1] = value and ("%s=%s"):format(name, value)
  end
  return list
end

-- Connections

local Connection = {}
Connection.__index = Connection
Connection.__name = "kb.openssh_connection"

local function stop(process, group)
  local _ <close> = task.shield(3)
  process:kill(TERM, group)
  do
    local _ <close> = task.within(1)
    local status, _, code = process:wait()
    if status or not code then
      return
    end
  end
  process:kill(KILL, group)
  process:wait()
end

local function remove(dir)
  for _, name in ipairs(sys.list(dir) or {}) do
    sys.remove(dir .. "/" .. name)
  end
  sys.remove(dir)
end

--- Close it and what runs on it.
function Connection:close()
  local master = self._master
  self._master = nil
  if master then
    stop(master, true)
    self._stderr:close()
    self._life:close()
    remove(self._dir)
  end
end

Connection.__close = Connection.close

--- Whether the connection can still be used.
-- @return boolean, and if not, why
function Connection:alive()
  if not self._master then
    return false, "it was closed"
  end
  local gone = sys.stat(self._dir .. "/control") == nil
  return not gone, gone and "ssh has ended" or nil
end

local reasons = {
  { "Permission denied", "EAUTH" },
  { "Too many authentication failures", "EAUTH" },
  { "Host key verification failed", "EHOSTKEY" },
  { "IDENTIFICATION HAS CHANGED", "EHOSTKEY" },
  { "Connection timed out", "ETIMEDOUT" },
  { "Connection refused", "EUNREACHABLE" },
  { "No route to host", "EUNREACHABLE" },
  { "Network is unreachable", "EUNREACHABLE" },
  { "Could not resolve", "EUNREACHABLE" },
}

local function code_of(text)
  for _, row in ipairs(reasons) do
    if text:find(row[1], 1, true) then
      return row[2]
    end
  end
  return "ECLOSED"
end

-- The master's socket appears when it has logged in; if not, it ends and has
-- said why.
local function wait_for_login(self, seconds)
  local said, ended = {}, false
  local reader = task.background(function()
    for part in function()
      return self._stderr:read()
    end do
      said[#said + 1] = part
    end
    ended = true
  end)
  local deadline = task.now() + seconds
  local ready = false
  while not ended and not ready and task.now() < deadline do
    ready = sys.stat(self._dir .. "/control") ~= nil
    if not ready and not task.sleep(0.02) then
      break
    end
  end
  reader:cancel()
  if ready then
    return true
  end
  local text = table.concat(said):gsub("\r", ""):gsub("%s*\n%s*", "; "):gsub("; $", "")
  if ended then
    return nil, text, code_of(text)
  end
  return nil, ("no login within %g s"):format(seconds), "ETIMEDOUT"
end

local function complete(target)
  local timeouts = setmetatable({}, {
    __index = function(_, name)
      return target.timeouts and target.timeouts[name] or TIMEOUTS[name]
    end,
  })
  return setmetatable({ timeouts = timeouts }, { __index = target })
end

local function prepare(target, dir)
  local chain = {}
  table.move(target.jumps or {}, 1, #(target.jumps or {}), 1, chain)
  chain[#chain + 1] = complete(target)
  write_config(chain, dir)
  write_answers(target, dir)
  return chain
end

-- Runs ssh, and when our end of its input is gone, because we were killed, ends it and removes the
-- directory. ssh itself would live on.
local MASTER = [==[
dir=$1
shift
exec 3<&0
"$@" </dev/null 3<&- &
ssh=$!
{
  cat <&3 >/dev/null
  rm -rf -- "$dir"
  kill "$ssh"
} 2>/dev/null &
watcher=$!
exec 3<&-
wait "$ssh"
status=$?
kill "$watcher" 2>/dev/null
exit "$status"
]==]

local function start_master(self, chain)
  local process, streams, code = proc.spawn {
    argv = { "/bin/sh", "-c", MASTER, "sh", self._dir, "ssh", "-F", self._dir .. "/config", "-M",
      "-N", "-T", self._name },
    env = environment(self._dir),
    session = true,
    stdout = "null",
  }
  if not process then
    return nil, streams, code
  end
  self._master, self._stderr, self._life = process, streams.stderr, streams.stdin
  local timeouts = chain[#chain].timeouts
  return wait_for_login(self, timeouts.connect * #chain + timeouts.auth)
end

--- Connect and log in.
-- @param target table: see kb.transport.ssh
-- @return connection: exec, alive, close; or nil, message, code
function M.open(target)
  local why, what
  target, why, what = ssh_config.complete(target)
  if not target then
    return nil, why, what
  end
  local dir, message, code = sys.mkdtemp "/tmp/kbrun-ssh-"
  if not dir then
    return nil, message, code
  end
  local name = ("kbrun-hop-%d"):format(#(target.jumps or {}) + 1)
  local place = place_of.of(target) .. " by ssh"
  local self = setmetatable({ _dir = dir, _name = name, _place = place }, Connection)
  local failed <close> = setmetatable({ on = true }, {
    __close = function(guard)
      if guard.on and self._master then
        self:close()
      elseif guard.on then
        remove(dir)
      end
    end,
  })
  local prepared, chain = pcall(prepare, target, dir)
  if not prepared then
    return nil, ("%s: %s"):format(place, chain), "EINVAL"
  end
  local ok
  ok, message, code = start_master(self, chain)
  for _, secret_file in ipairs { "password", "passphrase" } do
    sys.remove(dir .. "/" .. secret_file)
  end
  if not ok then
    return nil, ("%s: %s"):format(place, message), code
  end
  failed.on = false
  return self
end

-- Commands

local Channel = {}
Channel.__index = Channel
Channel.__name = "kb.openssh_channel"

--- Wait until the command has ended.
-- @return its exit status; or nil, message, code when the connection was lost
function Channel:wait()
  local status, message, code = self._process:wait()
  if status == 255 and not self._connection:alive() then
    return nil, self._connection._place .. ": the connection was lost", "ECLOSED"
  elseif not status and not code then
    return nil, self._connection._place .. ": ssh was ended by " .. message, "ECLOSED"
  end
  return status, message, code
end

--- Close the channel. The command finds its input ended and its output gone.
function Channel:close()
  if self._closed then
    return
  end
  self._closed = true
  self.stdin:close()
  stop(self._process)
  self.stdout:close()
  self.stderr:close()
end

Channel.__close = Channel.close

--- Run a command by the user's login shell.
-- @param command string
-- @return channel: stdin, stdout, stderr, wait, close; or nil, message, code
function Connection:exec(command)
  local alive, why = self:alive()
  if not alive then
    return nil, ("%s: %s"):format(self._place, why), "ECLOSED"
  end
  local process, streams, code = proc.spawn {
    argv = { "ssh", "-F", self._dir .. "/config", "-T", "-o", "BatchMode=yes", "-o",
      "ProxyCommand=false", "--", self._name, command },
    session = true,
  }
  if not process then
    return nil, ("%s: %s"):format(self._place, streams), code
  end
  streams._process, streams._connection = process, self
  return setmetatable(streams, Channel)
end

return M
