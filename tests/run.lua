-- The test runner: `kbrun lua tests/run.lua FILE...` runs the tests that each
-- file adds with `test(name, fn)` and prints TAP. Each test runs in a task of
-- its own with a deadline, and ends with a census: descriptors, tasks, timers
-- and child processes must be back to what they were.
local task = require "kb.core.task"
local sys = require "kb.core.sys"

local limit = tonumber(sys.getenv("KBRUN_TEST_SECONDS") or "") or 30
local only = sys.getenv("KBRUN_TEST_ONLY") -- run the tests whose name contains it

-- What kbrun keeps between runs is not kept among that of who runs the tests.
sys.setenv("XDG_CACHE_HOME",
  (sys.getenv("KBRUN_BUILD") or sys.self().cwd .. "/build") .. "/test-cache")

-- Collect all the time, so that what C holds without an anchor is gone when it
-- is used next, and the sanitizers see it.
if sys.getenv("KBRUN_TEST_GC") then
  collectgarbage("incremental", 100, 1000, 6) -- a step after every 64 bytes
  collectgarbage("setpause", 0)               -- and no rest between cycles
end

local function census()
  collectgarbage()
  collectgarbage()
  local now = task.census()
  now.descriptors = #sys.list("/proc/self/fd")
  return now
end

local function leaks(before, after)
  local found = {}
  for what, n in pairs(after) do
    if n ~= before[what] then
      found[#found + 1] = ("%s: %d before, %d after"):format(what, before[what], n)
    end
  end
  table.sort(found)
  return #found > 0 and table.concat(found, "; ") or nil
end

local function run_one(fn)
  local before = census()
  local ok, err = xpcall(function()
    local _ <close> = task.within(limit)
    local t = task.spawn(fn)
    t:join()
    if not t:done() then
      error(("not done within %g s"):format(limit), 0)
    end
  end, function(e)
    local trace = type(e) == "table" and e.traceback
    return tostring(e) .. (trace and "\n" .. trace or "")
  end)
  if not ok then
    return false, err
  end
  local left = leaks(before, census())
  return not left, left and "left behind: " .. left
end

local function comment(text)
  return "  # " .. tostring(text):gsub("\n", "\n  # ") .. "\n"
end

local function run_file(path, counts)
  local tests = {}
  local function test(name, fn)
    tests[#tests + 1] = { name = name, fn = fn }
  end
  local chunk = assert(loadfile(path))
  chunk(test)
  for _, t in ipairs(tests) do
    if not only or t.name:find(only, 1, true) then
      local ok, why = run_one(t.fn)
      counts[ok and "passed" or "failed"] = counts[ok and "passed" or "failed"] + 1
      io.write(ok and "ok" or "not ok", " - ", t.name, "\n", ok and "" or comment(why))
      io.flush()
    end
  end
end

local counts = { passed = 0, failed = 0 }
local lines = sys.getenv("KBRUN_COVERAGE") -- a file
local coverage = lines and require "lib.coverage"
if coverage then
  coverage.start()
end
for _, path in ipairs({ ... }) do
  run_file(path, counts)
end
if coverage then
  coverage.save(lines)
end
print(("%d passed, %d failed"):format(counts.passed, counts.failed))
return counts.failed == 0 and counts.passed > 0 and 0 or 1
