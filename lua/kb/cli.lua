--- The command line: finds the command, parses its options, and runs it.
local common = require "kb.command.common"
local embedded = require "kb.core.embedded"
local err = require "kb.err"
local help = require "kb.help"
local options = require "kb.options"
local secret = require "kb.secret"
local suggest = require "kb.suggest"
local sys = require "kb.core.sys"
local term = require "kb.term"

local M = {}

--- Exit statuses of kbrun.
M.exit = common.exit

-- Every command is the module kb.command.NAME; help lists them in this order.
local names = {
  "run", "exec", "copy", "facts", "inventory", "explain", "check", "template", "doc", "pki",
  "images", "bundle", "lua",
}

-- Whether require would find the module, without running it.
local function exists(module)
  for _, search in ipairs(package.searchers) do
    local loader = search(module)
    if type(loader) == "function" then
      return true
    end
  end
  return false
end

--- Load a command.
-- @param name string
-- @return table, or nil when this kbrun has no such command
function M.command(name)
  for _, known in ipairs(names) do
    if known == name and exists("kb.command." .. name) then
      return require("kb.command." .. name)
    end
  end
  return nil
end

--- Load all commands.
-- @return list of tables in the order of the help
function M.commands()
  local list = {}
  for _, name in ipairs(names) do
    list[#list + 1] = M.command(name)
  end
  return list
end

--- All options of a command, with those that every command has.
-- @param command table
-- @return list of options
function M.options(command)
  return common.options(command.options or {}, common.help)
end

local function refuse(name, message)
  local prefix = name == "run" and "kbrun" or "kbrun " .. name
  io.stderr:write(prefix, ": ", message, "\n", "See ", prefix, " --help.\n")
  return M.exit.usage
end

local function check_arguments(command, args)
  local least, most = 0, 0
  for _, argument in ipairs(command.arguments or {}) do
    if not argument.optional then
      least = least + 1
      if #args < least then
        return nil, ("%s is missing: %s"):format(argument.name, argument.help)
      end
    end
    most = argument.list and math.huge or most + 1
  end
  if command.arguments and #args > most then
    return nil, ("%q is one argument too many; it takes %s"):format(args[most + 1],
      most == 0 and "none" or help.usage(command))
  end
  return true
end

local statuses = { usage = M.exit.usage, unreachable = M.exit.unreachable,
  failed = M.exit.failed, verify = M.exit.failed, cancelled = M.exit.interrupted }

-- What a command raised: an error of ours is shown to the user; anything else is our mistake.
local function report_error(e)
  local status = statuses[err.kind(e)]
  if not status then
    error(e, 0)
  end
  io.stderr:write("kbrun: ", term.clean(secret.mask(tostring(e))), "\n")
  return status
end

local function run(command, words)
  local values, args = options.parse(M.options(command), words, command.stop_early)
  if not values then
    return refuse(command.name, args)
  end
  if values.no_color then
    term.no_color()
  end
  if values.help then
    io.write(help.command(command, M.options(command), term.width(1)))
    return M.exit.done
  end
  local ok, message = check_arguments(command, args)
  if not ok then
    return refuse(command.name, message)
  end
  local done, status
  done, status, message = xpcall(command.run, err.keep_traceback, values, args)
  if not done then
    return report_error(status)
  elseif status == nil then
    return refuse(command.name, message)
  end
  return status
end

-- The first word is neither a command nor a playbook.
local function unknown(word)
  local known = { "help" }
  for _, command in ipairs(M.commands()) do
    known[#known + 1] = command.name
  end
  io.stderr:write(("kbrun: there is no command %s%s\nSee kbrun --help.\n"):format(word,
    suggest.hint(word, known)))
  return M.exit.usage
end

local function show_help(name)
  if name == nil then
    io.write(help.program(M.commands(), term.width(1)))
    return M.exit.done
  end
  local command = M.command(name)
  if not command then
    return unknown(name)
  end
  return run(command, { "--help" })
end

local function is_playbook(word)
  return word:find("%.lua$") or word:find("/", 1, true) or sys.stat(word)
end

-- The command that the words ask for, and its own words: a command's name is
-- the first argument, also when options stand before it.
local function choose(words)
  local runs = M.command("run")
  local at = options.first_argument(M.options(runs or {}), words)
  local command = at and M.command(words[at])
  if command then
    local rest = table.move(words, 1, #words, 1, {})
    table.remove(rest, at)
    return command, rest
  end
  if runs and (not at or is_playbook(words[at])) then
    return runs, words
  end
  return nil, at and words[at]
end

--- Run kbrun.
-- @param args list of strings: the command line, args[0] the program's name
-- @return integer: the exit status
function M.main(args)
  local first = args[1]
  if first == nil then
    io.stderr:write(help.program(M.commands(), term.width(2)))
    return M.exit.usage
  elseif first == "--help" or first == "-h" or first == "help" then
    return show_help(first == "help" and args[2] or nil)
  elseif first == "--version" then
    io.write("kbrun ", embedded.version, "\n")
    return M.exit.done
  end
  local command, rest = choose(args)
  if command then
    return run(command, rest)
  end
  return rest and unknown(rest) or refuse("run", "there is no option " .. first)
end

return M
