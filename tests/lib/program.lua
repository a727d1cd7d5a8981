--- Programs that tests run to their end.
local proc = require "kb.core.proc"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local M = {}

--- The kbrun that runs this test.
M.kbrun = sys.realpath("/proc/self/exe")

local covered = sys.self().cwd .. "/tests/covered.lua"

local function all_of(stream)
  local parts = {}
  for chunk in function() return (stream:read()) end do
    parts[#parts + 1] = chunk
  end
  stream:close()
  return table.concat(parts)
end

--- Run a program and collect what it says.
-- @param argv list of strings: the program and its arguments; kbrun counts the
--   lines that run when this one does
-- @param options table or nil: input (string), env (table of what to add to or
--   change in our environment), cwd
-- @return table: status (or signal), out, err
function M.run(argv, options)
  options = options or {}
  if argv[1] == M.kbrun and sys.getenv("KBRUN_COVERAGE") then
    argv = table.move(argv, 2, #argv, 4, { M.kbrun, "lua", covered })
  end
  if options.env then
    local with = { "env" }
    for name, value in pairs(options.env) do
      with[#with + 1] = name .. "=" .. value
    end
    argv = table.move(argv, 1, #argv, #with + 1, with)
  end
  local process, pipes = assert(proc.spawn { argv = argv, cwd = options.cwd })
  local out, err = task.spawn(all_of, pipes.stdout), task.spawn(all_of, pipes.stderr)
  if options.input then
    assert(pipes.stdin:write(options.input))
  end
  pipes.stdin:close()
  local result = { out = out:join(), err = err:join() }
  result.status, result.signal = process:wait()
  return result
end

return M
