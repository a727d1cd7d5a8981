--- The command line: subcommands as one table.

local M = {}

--- Exit statuses. A play's outcome picks among them (kb.runner).
M.exit = { done = 0, usage = 2, unreachable = 3, failed = 4, interrupted = 5, changes = 10 }

local function run_script(args)
  local path = args[1]
  if not path then
    io.stderr:write("kbrun lua: which script? kbrun lua FILE [ARGUMENT...]\n")
    return M.exit.usage
  end
  local dir = path:match("^(.*)/[^/]*$") or "."
  package.path = dir .. "/?.lua;" .. dir .. "/?/init.lua"
  local chunk, message = loadfile(path)
  if not chunk then
    io.stderr:write("kbrun lua: ", message, "\n")
    return M.exit.usage
  end
  return math.tointeger(chunk(table.unpack(args, 2))) or M.exit.done
end

local commands = {
  lua = { run = run_script, help = "run a Lua script with kbrun's libraries" },
}

--- Run kbrun.
-- @param args list of strings: the command line, args[0] the program's name
-- @return integer: the exit status
function M.main(args)
  local command = commands[args[1]]
  if not command then
    io.stderr:write("usage: kbrun COMMAND [ARGUMENT...]\n")
    return M.exit.usage
  end
  return command.run(table.move(args, 2, #args, 1, {}))
end

return M
