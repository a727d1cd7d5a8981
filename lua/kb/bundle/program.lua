--- Programs of the operator's machine that help to make a bundle: dpkg-deb, apt-get, skopeo.
local proc = require "kb.core.proc"
local task = require "kb.core.task"

local M = {}

local LAST = 2000 -- bytes of what a program said before it failed

local function all_of(stream)
  local parts = {}
  for piece in function() return (stream:read()) end do
    parts[#parts + 1] = piece
  end
  stream:close()
  return table.concat(parts)
end

local function why(name, status, signal, text)
  text = text:gsub("%s+$", "")
  local ended = status and "exit status " .. status or "ended by " .. tostring(signal)
  return ("%s: %s%s"):format(name, ended, text ~= "" and ":\n" .. text:sub(-LAST) or "")
end

--- Run a program to its end.
-- @param argv list of strings
-- @param options table or nil: cwd, env (table: what to set besides), input (string)
-- @return string: what it printed; or nil, message with the end of what it said, code ("ENOENT":
--   there is no such program)
function M.run(argv, options)
  options = options or {}
  local words, name = {}, argv[1]
  for variable, value in pairs(options.env or {}) do
    words[#words + 1] = variable .. "=" .. value
  end
  if #words > 0 then
    table.insert(words, 1, "env")
    argv = table.move(argv, 1, #argv, #words + 1, words)
  end
  local process <close>, streams, code = proc.spawn { argv = argv, cwd = options.cwd,
    stdin = options.input and "pipe" or "null" }
  if not process then
    return nil, ("%s: %s"):format(name, streams), code
  end
  local said = task.spawn(all_of, streams.stderr)
  if options.input then
    streams.stdin:write(options.input)
    streams.stdin:close()
  end
  local out = all_of(streams.stdout)
  said = said:join() or "" -- none when it was given up
  local status, signal, failure = process:wait()
  if status == 0 then
    return out
  end
  return nil, why(name, status, signal, said .. out), failure or "EIO"
end

return M
