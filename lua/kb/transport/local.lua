--- Commands on the operator's own machine, as a transport.
-- A transport gives `open(target) -> connection`; see kb.transport.ssh.
local proc = require "kb.core.proc"
local task = require "kb.core.task"

local M = {}

local TERM, KILL = 15, 9

-- How long a command may take to end by itself once its input has ended, and
-- then once it has been told to.
local GRACE = 1

local Channel = {}
Channel.__index = Channel
Channel.__name = "kb.local_channel"

--- Wait until the command has ended.
-- @return its exit status; or nil and the name of the signal that ended it; or
-- nil, message, code
function Channel:wait()
  return self._process:wait()
end

--- Whether the command ends within so many seconds.
local function ends_within(process, seconds)
  local _ <close> = task.within(seconds)
  local status, message, code = process:wait()
  return status ~= nil or code == nil, message
end

--- End the command and what it has started in its process group: by the end of
-- its input, then by TERM, then by KILL.
function Channel:close()
  if self._closed then
    return
  end
  self._closed = true
  local _ <close> = task.shield(3 * GRACE)
  self.stdin:close()
  if not ends_within(self._process, GRACE) then
    self._process:kill(TERM, true)
    if not ends_within(self._process, GRACE) then
      self._process:kill(KILL, true)
      self._process:wait()
    end
  end
  self.stdout:close()
  self.stderr:close()
end

Channel.__close = Channel.close

local Connection = {}
Connection.__index = Connection
Connection.__name = "kb.local_connection"

--- Run shell text.
-- @param command string: for /bin/sh -c
-- @return channel: stdin, stdout, stderr, wait, close; or nil, message, code
function Connection:exec(command)
  if self._closed then
    return nil, "local: the connection is closed", "ECLOSED"
  end
  local process, streams, code = proc.spawn {
    argv = { "/bin/sh", "-c", command },
    cwd = "/",
    session = true,
  }
  if not process then
    return nil, "local: " .. streams, code
  end
  streams._process = process
  return setmetatable(streams, Channel)
end

--- Whether commands can be run.
-- @return boolean
function Connection:alive()
  return not self._closed
end

--- End the connection; channels that are open stay so.
function Connection:close()
  self._closed = true
end

Connection.__close = Connection.close

--- Open a connection to this machine; it cannot fail.
-- @param target table: nothing in it matters here
-- @return connection: exec, alive, close
function M.open(target)
  return setmetatable({}, Connection)
end

return M
