--- Which lines of our Lua run. The runner starts it when KBRUN_COVERAGE names a
-- file; each run adds its lines there, and tests/coverage shows the sum.
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local M = {}

local seen = {} -- of each source, the lines that ran

local function hook(_, line)
  local source = debug.getinfo(2, "S").source
  local lines = seen[source]
  if not lines then
    lines = {}
    seen[source] = lines
  end
  lines[line] = true
end

-- A hook is of one coroutine, so each new one gets it first.
local function hooked(fn)
  return function(...)
    debug.sethook(hook, "l")
    return fn(...)
  end
end

local function wrap(library, name)
  local original = library[name]
  library[name] = function(fn, ...)
    return original(type(fn) == "function" and hooked(fn) or fn, ...)
  end
end

--- Count from now on, in every coroutine that is made from now on too. What the
-- command line has loaded so far is loaded again when it is next asked for.
function M.start()
  for name in pairs(package.loaded) do
    if name:find("^kb%.") and not name:find("^kb%.core%.") then
      package.loaded[name] = nil
    end
  end
  wrap(task, "spawn")
  wrap(task, "background")
  wrap(coroutine, "create")
  wrap(coroutine, "wrap")
  debug.sethook(hook, "l")
end

--- Stop, and add what was seen to a file: a line for each module that is part of
-- the binary, its name and then the numbers of the lines that ran.
-- @param path string
function M.save(path)
  debug.sethook()
  for source, lines in pairs(seen) do
    local module = source:match("^=%[([%w_.]+)%]$")
    if module then
      local list = { module }
      for line in pairs(lines) do
        list[#list + 1] = tostring(line)
      end
      assert(sys.append_line(path, table.concat(list, " ")))
    end
  end
end

return M
