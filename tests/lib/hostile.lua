--- A server that does to its client what it is asked to do: see hostile.py.
local check = require "lib.check"
local proc = require "kb.core.proc"
local ssh = require "kb.core.ssh"

local M = {}

local Server = {}
Server.__index = Server

--- Start one; its session is logged in.
-- @return table: session; to be closed
function M.start()
  local process, streams = proc.spawn {
    argv = { "/usr/bin/python3", "tests/lib/hostile.py" },
    socket = true,
    stderr = "null",
  }
  check.ok(process, streams)
  local session = check.ok(ssh.session { stream = streams.socket, name = "hostile" })
  local self = setmetatable({ process = process, session = session }, Server)
  check.ok(session:greeting())
  check.ok(session:handshake())
  check.equal(session:auth_methods "root", true)
  return self
end

--- Open a channel and ask for something there.
-- @param what string: a function of hostile.py
-- @return channel
function Server:ask(what)
  local channel = check.ok(self.session:open())
  check.ok(channel:exec(what))
  return channel
end

function Server:__close()
  self.session:close()
  self.process:kill(9)
  self.process:wait()
end

return M
