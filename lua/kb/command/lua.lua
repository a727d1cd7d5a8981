--- kbrun lua: run a script with kbrun's libraries.
local common = require "kb.command.common"

local function run(_, args)
  local path = args[1]
  local dir = path:match("^(.*)/[^/]*$") or "."
  package.path = dir .. "/?.lua;" .. dir .. "/?/init.lua"
  local chunk, message = loadfile(path)
  if not chunk then
    return nil, message
  end
  local status = chunk(table.unpack(args, 2))
  return math.tointeger(status or common.exit.done) or common.exit.done
end

return {
  name = "lua",
  summary = "run a Lua script with kbrun's libraries",
  description = [[
The script gets the arguments as `...`, may require kb.* and files beside itself,
and runs in a task, so that everything that waits works. An integer that it
returns is the exit status.]],
  arguments = {
    { name = "FILE", help = "the script" },
    { name = "ARGUMENT", optional = true, list = true, help = "what the script gets" },
  },
  stop_early = true, -- what follows the script's name is for the script
  run = run,
}
