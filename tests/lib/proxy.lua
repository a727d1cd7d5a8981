--- A TCP proxy in front of a port, which treats what the server sends badly.
local check = require "lib.check"
local dial = require "kb.transport.dial"
local net = require "kb.core.net"
local task = require "kb.core.task"

local M = {}

local function copy(from, to, treat)
  while true do
    local data = from:read()
    if not data then
      break
    end
    for _, piece in ipairs(treat(data)) do
      if not to:write(piece) then
        return
      end
    end
  end
  to:shutdown()
end

local function as_it_is(data)
  return { data }
end

--- Forward connections in the background.
-- @param port integer: where the server listens on 127.0.0.1
-- @param make function: called for each connection; returns a function that turns
-- what the server has sent into a list of pieces; it may wait
-- @return listener: to be closed; its port() is the proxy's
function M.start(port, make)
  local listener = check.ok(net.listen("127.0.0.1", 0))
  task.background(function()
    while true do
      local client = listener:accept()
      task.background(function()
        local near <close> = client
        local far <close> = check.ok(dial.connect("127.0.0.1", port))
        local up = task.background(copy, near, far, as_it_is)
        copy(far, near, make())
        up:cancel()
      end)
    end
  end)
  return listener
end

--- A treatment: all goes through until so many bytes have come; then nothing.
function M.stall_after(limit)
  return function()
    local left = limit
    return function(data)
      if #data > left then
        task.sleep(1000)
      end
      left = left - #data
      return { data }
    end
  end
end

--- A treatment: all goes through while a switch does not say `stalled`; what comes then is lost.
-- @param switch table
function M.stall_when(switch)
  return function()
    return function(data)
      if switch.stalled then
        task.sleep(1000)
      end
      return { data }
    end
  end
end

--- A treatment: one byte at a time.
function M.byte_by_byte()
  return function(data)
    local pieces = {}
    for i = 1, #data do
      pieces[i] = data:sub(i, i)
    end
    return pieces
  end
end

return M
