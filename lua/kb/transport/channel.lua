--- A running command on an SSH connection, in the shape that all transports share.
local M = {}

local Channel = {}
Channel.__index = Channel
Channel.__name = "kb.ssh_channel"

local Stdin = {}
Stdin.__index = Stdin

function Stdin:write(data)
  return self.raw:write(data)
end

function Stdin:shutdown()
  return self.raw:write_end()
end

Stdin.close = Stdin.shutdown

local Output = {}
Output.__index = Output

function Output:read(max)
  return self.raw[self.method](self.raw, max)
end

--- Wait until the command has ended. A status of 0 is also what a server tells
-- that closed the channel without one: it proves nothing.
-- @return its exit status; or nil and the name of the signal that ended it; or
-- nil, message, code
function Channel:wait()
  return self._raw:wait()
end

--- Close the channel. The command finds its input ended and its output gone.
function Channel:close()
  self._raw:close()
  self._on_close()
end

Channel.__close = Channel.close

--- Give a channel of kb.core.ssh that runs a command the shape of a transport's.
-- @param raw channel
-- @param on_close function(): called when it is closed
-- @return channel: stdin, stdout, stderr, wait, close
function M.wrap(raw, on_close)
  return setmetatable({
    _raw = raw,
    _on_close = on_close,
    stdin = setmetatable({ raw = raw }, Stdin),
    stdout = setmetatable({ raw = raw, method = "read" }, Output),
    stderr = setmetatable({ raw = raw, method = "read_error" }, Output),
  }, Channel)
end

return M
