--- A host that answers: commands and files over one connection.
--
-- Commands run in persistent shells, one per user, and more while several tasks want one at the
-- same time, as far as the host's sshd lets us (MaxSessions).
local batch = require "kb.shell.batch"
local program = require "kb.shell.program"
local shell = require "kb.shell"
local sys = require "kb.core.sys"
local task = require "kb.core.task"
local transfer = require "kb.transfer"
local tree = require "kb.transfer.tree"

local M = {}

-- OpenSSH allows ten sessions on a connection; two are left for others who share it.
local SESSIONS = 8

local Remote = {}
Remote.__index = Remote
Remote.__name = "kb.remote"

local function connect(settings)
  local kind = settings.transport or "ssh"
  local transport = require("kb.transport." .. kind)
  local connection, message, code = transport.open(settings)
  if not connection and kind == "ssh" and code == "EUNSUPPORTED" then
    local other, why, how = require("kb.transport.openssh").open(settings)
    if other then
      return other
    end
    return nil, message .. "; and over the ssh program: " .. why, how
  end
  return connection, message, code
end

-- One task connects, the others that need the connection wait for it.
function Remote:_connected()
  while self.connecting do
    local ok, message, code = self.changed:wait()
    if not ok then
      return nil, self.name .. ": " .. message, code
    end
  end
  if self.closed then
    return nil, self.name .. ": the connection is closed", "ECLOSED"
  elseif self.connection and self.connection:alive() then
    return self.connection
  end
  self:_forget()
  local started = task.now()
  local _ <close> = setmetatable({}, { __close = function()
    self.connecting = false
    self.changed:notify()
  end })
  self.connecting = true
  local connection, message, code = connect(self.settings)
  self.seconds_connecting = self.seconds_connecting + task.now() - started
  self.connection = connection
  return connection, message, code
end

--- Whether there is a connection that can be used.
-- @return boolean
function Remote:alive()
  return not self.closed and self.connection ~= nil and self.connection:alive() == true
end

--- Connect again where the connection was lost.
-- @return the remote; or nil, message, code
function Remote:reach()
  local connection, message, code = self:_connected()
  if not connection then
    return nil, message, code
  end
  return self
end

-- The connection is gone, and its shells with it.
function Remote:_forget()
  for _, idle in pairs(self.idle) do
    while idle[1] do
      self:_end(table.remove(idle))
    end
  end
  if self.connection then
    self.connection:close()
    self.connection = nil
  end
end

function Remote:_end(sh)
  self.shells = self.shells - 1
  self.sent, self.received = self.sent + sh.sent, self.received + sh.received
  self.open[sh] = nil
  sh:close()
end

local function first_idle(self, user)
  local idle = self.idle[user] or {}
  while idle[1] do
    local sh = table.remove(idle)
    if sh:usable() then
      return sh
    end
    self:_end(sh)
  end
end

-- Close a shell of another user that nobody uses, to have room for one of this.
local function make_room(self, user)
  for other, idle in pairs(self.idle) do
    if other ~= user and idle[1] then
      self:_end(table.remove(idle))
      return true
    end
  end
end

local function start(self, user)
  local connection, message, code = self:_connected()
  if not connection then
    return nil, message, code
  end
  local settings = self.settings
  self.shells = self.shells + 1
  local started = task.now()
  local sh, refused
  sh, message, code, refused = shell.open(connection, {
    name = self.name,
    become = user ~= "" and (settings.become or "sudo") or nil,
    become_user = user,
    become_password = settings.become_password,
  })
  self.seconds_connecting = self.seconds_connecting + task.now() - started
  if not sh then
    self.shells = self.shells - 1
    return nil, message, code, refused
  end
  self.open[sh] = true
  return sh
end

-- A shell of the user for one request.
function Remote:_acquire(user)
  while not self.closed do
    local sh = first_idle(self, user)
    if sh then
      return sh
    elseif self.shells < self.most then
      local message, code, refused
      sh, message, code, refused = start(self, user)
      if sh then
        return sh
      elseif not refused or self.shells == 0 or not self.connection:alive() then
        return nil, message, code
      end
      self.most = self.shells
    end
    if self.shells >= self.most and not make_room(self, user) then
      local ok, message, code = self.changed:wait()
      if not ok then
        return nil, ("%s: no session became free: %s"):format(self.name, message), code
      end
    end
  end
  return nil, self.name .. ": the connection is closed", "ECLOSED"
end

-- A shell was closed while its command could not be told to end: another shell ends it.
local function end_orphan(self, user, pid)
  local _ <close> = task.shield(5)
  self:run("kill -KILL -" .. pid, { user = user })
end

local Lease = {
  __close = function(lease)
    local self, sh = lease.remote, lease.shell
    if sh:usable() and not self.closed then
      self.idle[lease.user] = self.idle[lease.user] or {}
      table.insert(self.idle[lease.user], sh)
    else
      self:_end(sh)
    end
    self.changed:notify()
    if sh.orphan and not self.closed then
      end_orphan(self, lease.user_name, sh.orphan)
    end
  end,
}

-- The key of the user's shells: "" for who logged in.
function Remote:_user(name)
  local login = self.settings.transport ~= "local" and self.settings.user or sys.self().user
  return name == login and "" or name or ""
end

--- Run a command.
-- @param command string: POSIX shell text
-- @param opts table: user (who runs it, if not who logged in), stdin (string, secret or function
-- giving pieces, then nil), env (table), cwd, timeout (seconds), on_output (function of "out" or
-- "err" and a piece), combine (stderr in stdout, in order), discard (do not collect output), on_end
-- (called when the command has ended, while its input may still wait for more)
-- @return table: code (an exit status; 128+n after death by signal n), signal (its name), out, err,
-- seconds. Or nil, message, code: EAUTH when becoming the user was refused, ECLOSED when connection
-- or shell was lost, ETIMEDOUT, with a table of out and err so far
function Remote:run(command, opts)
  opts = opts or {}
  local user = self:_user(opts.user)
  local sh, message, code = self:_acquire(user)
  if not sh then
    return nil, message, code
  end
  local lease <close> = setmetatable({ remote = self, shell = sh, user = user,
    user_name = opts.user }, Lease)
  self.trips = self.trips + 1
  return lease.shell:run(command, opts)
end

--- Run commands in one round trip, one after the other, whether they fail or not.
-- @param commands list of strings: POSIX shell text; none can hurt another
-- @param opts table: user, env, cwd, timeout (seconds for all of them)
-- @return list of results as of run; or nil, message, code
function Remote:batch(commands, opts)
  local all, nonce = {}, program.nonce()
  while #all < #commands do
    local text, last = batch.compose(commands, #all + 1, nonce)
    local result, message, code = self:run(text, opts)
    if not result then
      return nil, message, code
    end
    for _, one in ipairs(batch.parse(result, nonce, last - #all)) do
      all[#all + 1] = one
    end
  end
  return all
end

--- Put a file on the host, whole or not at all. A link in its place is replaced, not followed.
-- @param spec table: path; content (string or secret), file (a local path) or read (function giving
-- pieces, then nil); owner, group, mode (integer; what is not given stays as it was, or is whoever
-- writes and 0644); validate (a command that must succeed before; %s is the new file), backup (true
-- or a suffix: keep what was there under another name), user (who writes it), compress (false:
-- never), timeout (seconds for all of it), progress (function of bytes done and total)
-- @return true and a table: changed (the content), sent (bytes), backup (its path). Or nil,
-- message, code: EISDIR, ENOENT (no such directory), EINVAL (validate failed), EBADMSG (it arrived
-- damaged), EIO, or as of run
function Remote:put(spec)
  return transfer.put(self, spec)
end

--- Get a file from the host, whole or not at all. What came of a large one before the connection
-- was lost is kept beside `to`, and the next get goes on from there.
-- @param spec table: path; to (a local path) or write (function of each piece), mode (of the local
-- file, integer, 0600), user (who reads it), compress (false: never), timeout (seconds for all of
-- it), progress (function of bytes done and total)
-- @return true and a table: changed, received (bytes). Or nil, message, code as of put
function Remote:get(spec)
  return transfer.get(self, spec)
end

--- Put what is in a local directory into one on the host, as one stream. Files that are the same
-- already are not sent.
-- @param spec table: dir (local), path (there, absolute; made if absent), owner, group, mode and
-- dir_mode (of files and directories, integers; absent: as they are here), delete (boolean: what
-- only the host has goes, else it stays), user (who writes it), timeout (seconds for all of it),
-- progress (function of bytes done and total)
-- @return true and a table: changed, sent (bytes of files). Or nil, message, code as of put
function Remote:put_tree(spec)
  return tree.put(self, spec)
end

--- Where the connection goes, with what ssh's own configuration has said.
-- @return table: address, port, user and host_key (a public key line: the one that the server has
-- proved to have; absent where the connection cannot tell)
function Remote:place()
  local connection, settings = self.connection, self.settings
  if connection and connection.where then
    return connection:where()
  end
  return { address = settings.address, port = settings.port or 22,
    user = settings.user or sys.self().user }
end

--- What the connection has cost so far.
-- @return table: trips (requests), sent and received (bytes of shells), connecting (seconds)
function Remote:stats()
  local stats = { trips = self.trips, sent = self.sent, received = self.received,
    connecting = self.seconds_connecting }
  for sh in pairs(self.open) do
    stats.sent, stats.received = stats.sent + sh.sent, stats.received + sh.received
  end
  return stats
end

--- End the connection; commands that run are ended too.
function Remote:close()
  if not self.closed then
    self.closed = true
    for sh in pairs(self.open) do
      sh:close()
    end
    self:_forget()
    self.changed:notify()
  end
end

Remote.__close = Remote.close

--- Connect to a host.
-- @param settings table: address, user and whatever else the transport takes; transport ("ssh",
-- "openssh" or "local"), become ("sudo" or "su"), become_password (string, secret or function)
-- @return remote; or nil, message, code
function M.open(settings)
  local self = setmetatable({
    settings = settings, name = settings.name or settings.address or "localhost",
    shells = 0, most = SESSIONS, idle = {}, open = {}, changed = task.condition(),
    trips = 0, sent = 0, received = 0, seconds_connecting = 0,
  }, Remote)
  local connection, message, code = self:_connected()
  if not connection then
    return nil, message, code
  end
  return self
end

return M
