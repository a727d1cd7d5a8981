local test = ...
local check = require "lib.check"
local task = require "kb.core.task"
local proc = require "kb.core.proc"

test("join returns what the function returned", function()
  local t = task.spawn(function(a, b)
    task.sleep(0.001)
    return a + b, nil, "end"
  end, 1, 2)
  check.equal(table.pack(t:join()), { 3, nil, "end", n = 3 })
end)

test("join raises what the function raised, with its traceback", function()
  local t = task.spawn(function()
    task.yield()
    error({ kind = "odd" })
  end)
  local err = check.raises("table", t.join, t)
  check.equal(err.kind, "odd")
  check.contains(err.traceback, "unit/task.lua")
end)

test("a failure that nobody joins fails the parent", function()
  local parent = task.spawn(function()
    task.spawn(error, "lost")
    task.sleep(0.001)
  end)
  check.raises("lost", parent.join, parent)
end)

test("a task ends after its children", function()
  local order = {}
  task.spawn(function()
    task.spawn(function()
      task.sleep(0.01)
      order[#order + 1] = "child"
    end)
    order[#order + 1] = "body"
  end):join()
  check.equal(order, { "body", "child" })
end)

test("a failing parent cancels its children", function()
  local seen
  local parent = task.spawn(function()
    task.spawn(function()
      local ok, err = pcall(task.sleep, 1000)
      seen = not ok and err.kind
    end)
    task.yield()
    error("enough")
  end)
  check.raises("enough", parent.join, parent)
  check.equal(seen, "cancelled")
end)

test("cancelling raises at every wait, so that pcall cannot swallow it", function()
  local raised = 0
  local t = task.spawn(function()
    for _ = 1, 3 do
      if not pcall(task.sleep, 1000) then
        raised = raised + 1
      end
    end
  end)
  task.yield()
  t:cancel("no longer wanted")
  t:join()
  check.equal(raised, 3)
end)

test("a shield lets cleanup wait", function()
  local cleaned
  local t = task.spawn(function()
    local _ <close> = setmetatable({}, { __close = function()
      local _ <close> = task.shield(1)
      task.sleep(0.002)
      cleaned = true
    end })
    task.sleep(1000)
  end)
  task.yield()
  t:cancel()
  check.raises("cancelled", t.join, t)
  check.equal(cleaned, true)
end)

test("a deadline ends waits and is put back when its scope closes", function()
  local function slow()
    local _ <close> = task.within(0.005)
    return task.sleep(1000)
  end
  check.equal(table.pack(slow()), { nil, "timed out", "ETIMEDOUT", n = 3 })
  check.equal(task.sleep(0.001), true)
end)

test("a scope inside a scope cannot move the deadline later", function()
  local _ <close> = task.within(0.01)
  local before = task.left()
  local _ <close> = task.within(1000)
  check.ok(task.left() <= before)
end)

test("a condition wakes all who wait", function()
  local c, n = task.condition(), 0
  local function waiter()
    c:wait()
    n = n + 1
  end
  local a, b = task.spawn(waiter), task.spawn(waiter)
  task.yield()
  c:notify()
  a:join()
  b:join()
  check.equal(n, 2)
end)

test("waiting in a coroutine of one's own is refused, not a hang", function()
  local co = coroutine.wrap(function()
    task.sleep(0)
  end)
  check.raises("only a task can wait", co)
end)

test("a background task is cancelled when its parent's body ends", function()
  task.spawn(function()
    task.background(task.sleep, 1000)
  end):join()
end)

test("a thousand timers, some moved and some given up: none early, none lost", function()
  local early, woken, tasks = 0, 0, {}
  for i = 1, 1000 do
    local wait = 0.2 + (i * 7919) % 1000 / 10000
    tasks[i] = task.spawn(function()
      local at = task.now() + wait
      task.sleep(wait)
      woken = woken + 1
      early = early + (task.now() < at and 1 or 0)
    end)
  end
  task.yield()
  for i = 1, 1000, 3 do
    tasks[i]:cancel()
  end
  for i, t in ipairs(tasks) do
    check.equal(pcall(t.join, t), i % 3 ~= 1)
  end
  check.equal(woken, 666)
  check.equal(early, 0)
end)

test("a process: output, status, signal, input", function()
  local p, io = check.ok(proc.spawn { argv = { "sh", "-c", "cat; echo err >&2; exit 3" } })
  task.spawn(function()
    check.ok(io.stdin:write(("x"):rep(300000)))
    io.stdin:shutdown()
  end)
  local n = 0
  for chunk in function() return (io.stdout:read()) end do
    n = n + #chunk
  end
  check.equal(n, 300000)
  check.equal(io.stderr:read(), "err\n")
  check.equal(p:wait(), 3)
  io.stdout:close()
  io.stderr:close()
end)

test("a process that is killed says by which signal", function()
  local p = check.ok(proc.spawn { argv = { "sleep", "1000" }, stdin = "null", stdout = "null",
    stderr = "null" })
  check.ok(p:kill(9))
  check.equal(table.pack(p:wait()), { nil, "KILL", n = 2 })
end)

test("a program that is not there is an error with its name", function()
  local p, message, code = proc.spawn { argv = { "/no/such/program" } }
  check.equal(p, nil)
  check.contains(message, "/no/such/program")
  check.equal(code, "ENOENT")
end)

-- Two tasks wait; a third notifies one of them in the turn in which the first gives up.
local function handed_on(give_up)
  local condition, woken = task.condition(), {}
  local function waiter(name, seconds)
    return task.spawn(function()
      local _ <close> = task.within(seconds)
      woken[name] = condition:wait() or false
    end)
  end
  local first, second = waiter("first", 0.02), waiter("second", 1)
  task.yield()
  give_up(first, condition)
  pcall(first.join, first)
  second:join()
  return woken
end

test("a notification that comes too late for one waiter goes to the next", function()
  check.equal(handed_on(function(_, condition)
    condition:notify_one()
    local until_then = task.now() + 0.03
    while task.now() < until_then do -- the deadline passes before the waiter goes on
    end
  end), { first = false, second = true })
  check.equal(handed_on(function(first, condition)
    condition:notify_one()
    first:cancel()
  end), { second = true })
end)

test("scopes may close in any order; those that are left hold", function()
  task.spawn(function()
    local outer, inner = task.within(100), task.within(10)
    local function close(scope)
      local _ <close> = scope
    end
    check.equal(task.left() <= 10, true)
    close(outer)
    check.equal((task.left() or 1000) <= 10, true, "the inner one holds")
    close(inner)
    check.equal(task.left() == nil or task.left() > 10, true, "none is left")
    local shield, within = task.shield(5), task.within(1)
    close(shield)
    check.equal(task.left() <= 1, true)
    task.current():cancel()
    close(within)
    check.raises("cancelled", task.sleep, 1)
  end):join()
end)

test("a scope that nobody closes ends when it is collected, also after its task", function()
  local kept
  task.spawn(function()
    task.within(10)
    collectgarbage()
    collectgarbage()
    check.equal(task.left() == nil or task.left() > 10, true)
    kept = task.within(10)
  end):join()
  collectgarbage()
  local _ <close> = kept
end)

test("coroutines of one's own are what they are in Lua", function()
  local function numbers(n, ...)
    local more = coroutine.yield(n, ...)
    error({ more }, 0)
  end
  local co = coroutine.create(numbers)
  check.equal({ coroutine.resume(co, 1, nil, 3) }, { true, 1, nil, 3 })
  local ok, e = coroutine.resume(co, "more")
  check.equal({ ok, e, coroutine.status(co) }, { false, { "more" }, "dead" })
  check.equal({ coroutine.resume(co) }, { false, "cannot resume dead coroutine" })
  check.equal({ coroutine.resume(coroutine.running()) },
    { false, "cannot resume non-suspended coroutine" })
  check.raises("thread expected", coroutine.resume, 1)
  check.raises("function expected", coroutine.wrap, 1)

  local closed = 0
  local next_one = coroutine.wrap(function(...)
    local _ <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
    coroutine.yield(...)
    error "over"
  end)
  check.equal({ next_one(1, 2) }, { 1, 2 })
  local _, message = pcall(function() next_one() end)
  check.ok(message:find "task%.lua:%d+: .*task%.lua:%d+: over$", message)
  check.equal(closed, 1)
  check.raises("cannot resume dead coroutine", next_one)
  check.raises("only a task can wait", coroutine.wrap(function() task.sleep(0) end))
end)
