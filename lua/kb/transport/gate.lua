--- Gates that let only so many tasks through at a time, in the order of arrival.
local task = require "kb.core.task"

local M = {}

local Gate = {}
Gate.__index = Gate

--- A gate.
-- @param limit integer: how many may be inside
-- @return gate: enter, waiting
function M.new(limit)
  return setmetatable({ limit = limit, inside = 0, queue = {} }, Gate)
end

local function let_in(gate)
  while gate.inside < gate.limit and gate.queue[1] do
    local pass = table.remove(gate.queue, 1)
    gate.inside = gate.inside + 1
    pass.inside = true
    pass.condition:notify()
  end
end

local function leave(pass)
  if pass.left then
    return
  end
  pass.left = true
  local gate = pass.gate
  if pass.inside then
    gate.inside = gate.inside - 1
  else
    for i, other in ipairs(gate.queue) do
      if other == pass then
        table.remove(gate.queue, i)
        break
      end
    end
  end
  let_in(gate)
end

local Pass = { __close = leave }

--- Wait until one may be inside: `local pass <close> = gate:enter()`.
-- @return pass: to be closed when outside again; or nil, message, code when the
-- deadline came first
function Gate:enter()
  local pass = setmetatable({ gate = self, condition = task.condition() }, Pass)
  self.queue[#self.queue + 1] = pass
  let_in(self)
  local kept = false -- else it is given back, also when the wait raises
  local _ <close> = setmetatable({}, {
    __close = function()
      if not kept then
        leave(pass)
      end
    end,
  })
  while not pass.inside do
    local ok, message, code = pass.condition:wait()
    if not ok and not pass.inside then
      return nil, message, code
    end
  end
  kept = true
  return pass
end

--- How many wait outside.
-- @return integer
function Gate:waiting()
  return #self.queue
end

return M
