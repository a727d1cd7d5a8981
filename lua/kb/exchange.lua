--- What the tasks of a run give each other, and who waits for it.
-- Tasks of plays and hosts are busy except while they wait for each other: so it is known when
-- somebody waits for what nobody is left to give.

local err = require "kb.err"
local task = require "kb.core.task"

local Exchange = { __name = "kb.exchange" }
Exchange.__index = Exchange

local M = {}

--- The exchange of a run.
-- @return exchange
function M.new()
  return setmetatable({ tasks = 0, stirred = 0, waiters = {}, onces = {}, quiet = task.condition(),
    values = task.condition() }, Exchange)
end

--- Some tasks begin or end to be busy.
-- @param change integer
function Exchange:busy(change)
  self.tasks, self.stirred = self.tasks + change, self.stirred + 1
  if self.tasks == 0 then
    self.quiet:notify()
  end
end

--- This task waits for others until the scope closes: `local _ <close> = exchange:idle()`.
-- @return scope: to be closed
function Exchange:idle()
  self:busy(-1)
  return setmetatable({}, { __close = function()
    self:busy(1)
  end })
end

--- Tell those that wait for a value when no task is busy, since nobody is left to give it. A task
-- that was woken is not busy before it goes on: so all that are ready go first. Ends when it is
-- cancelled.
function Exchange:watch()
  while true do
    local before = self.stirred
    task.yield()
    task.yield()
    local still = self.stirred == before
    if still and self.tasks == 0 then
      for waiter in pairs(self.waiters) do
        waiter.stuck = true
      end
      self.values:notify()
    end
    if still or self.tasks > 0 then
      self.quiet:wait()
    end
  end
end

--- A value was given: those that wait for values look whether it is theirs.
function Exchange:given()
  self.values:notify()
end

--- Wait for a value, or until nobody is left to give it.
-- @param has function(): whether it was given
function Exchange:await(has)
  local waiter = {}
  while not has() and not waiter.stuck do
    self.waiters[waiter] = true
    local _ <close> = self:idle()
    self.values:wait()
    self.waiters[waiter] = nil
  end
end

--- Do something once; others that want it meanwhile wait.
-- @param key string: what it is
-- @param fn function()
-- @return what fn returned
-- @raise what fn raised, for all; but when its task was cancelled, the next one does it
function Exchange:once(key, fn)
  local entry = self.onces[key] or { changed = task.condition() }
  self.onces[key] = entry
  while entry.working do
    local _ <close> = self:idle()
    entry.changed:wait()
  end
  if not entry.results then
    entry.working = true
    local results = table.pack(xpcall(fn, err.keep_traceback))
    entry.working = false
    entry.changed:notify()
    if not results[1] and err.kind(results[2]) == "cancelled" then
      error(results[2], 0)
    end
    entry.results = results
  end
  if not entry.results[1] then
    error(entry.results[2], 0)
  end
  return table.unpack(entry.results, 2, entry.results.n)
end

return M
