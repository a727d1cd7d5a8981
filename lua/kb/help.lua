--- The help of commands, made from their tables for the terminal.
local options = require "kb.options"
local term = require "kb.term"

local M = {}

--- The arguments of a command as one line: "PATTERN [--] COMMAND...".
-- @param command table: a command, with usage or arguments
-- @return string
function M.usage(command)
  if command.usage then
    return command.usage
  end
  local words = {}
  for _, argument in ipairs(command.arguments or {}) do
    local word = argument.name .. (argument.list and "..." or "")
    words[#words + 1] = argument.optional and "[" .. word .. "]" or word
  end
  return table.concat(words, " ")
end

--- The groups of options of a command, in the order they first appear.
-- @param list list of options
-- @return list of tables: name, and the options at 1..n
function M.groups(list)
  local groups, by_name = {}, {}
  for _, option in ipairs(list) do
    local name = option.group or "Options"
    if not by_name[name] then
      by_name[name] = { name = name }
      groups[#groups + 1] = by_name[name]
    end
    table.insert(by_name[name], option)
  end
  return groups
end

--- Two columns: names on the left, wrapped text on the right.
-- @param rows list of lists: name and text
-- @param width integer: columns of the terminal
-- @return string
function M.columns(rows, width)
  local left = 0
  for _, row in ipairs(rows) do
    left = math.max(left, #row[1])
  end
  left = math.min(left, 30)
  local lines = {}
  for _, row in ipairs(rows) do
    local text = term.wrap(row[2], math.max(width - left - 4, 20))
    local first = #row[1] <= left and table.remove(text, 1) or ""
    lines[#lines + 1] = ("  %-" .. left .. "s  %s"):format(row[1], first):gsub("%s+$", "")
    for _, line in ipairs(text) do
      lines[#lines + 1] = (" "):rep(left + 4) .. line
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

local function section(title, rows, width)
  if #rows == 0 then
    return ""
  end
  return "\n" .. term.paint("bold", title .. ":", 1) .. "\n" .. M.columns(rows, width)
end

--- The help of one command.
-- @param command table
-- @param all list of options: its own and those of every command
-- @param width integer: columns
-- @return string
function M.command(command, all, width)
  local name = command.name == "run" and "kbrun" or "kbrun " .. command.name
  local usage = M.usage(command)
  local parts = { ("usage: %s [OPTION...] %s\n\n"):format(name, usage) }
  local text = command.description or command.summary:gsub("^%l", string.upper) .. "."
  parts[#parts + 1] = table.concat(term.wrap(text, width), "\n") .. "\n"
  local rows = {}
  for _, argument in ipairs(command.arguments or {}) do
    rows[#rows + 1] = { argument.name, argument.help }
  end
  parts[#parts + 1] = section("Arguments", rows, width)
  for _, group in ipairs(M.groups(all)) do
    rows = {}
    for _, option in ipairs(group) do
      rows[#rows + 1] = { options.synopsis(option), options.explanation(option) }
    end
    parts[#parts + 1] = section(group.name, rows, width)
  end
  return table.concat(parts)
end

--- The help of the program: all commands.
-- @param commands list of tables
-- @param width integer: columns
-- @return string
function M.program(commands, width)
  local rows, runs = {}, false
  for _, command in ipairs(commands) do
    if command.name == "run" then
      runs = true
    else
      rows[#rows + 1] = { command.name, command.summary }
    end
  end
  return "usage: " .. (runs and "kbrun [OPTION...] PLAYBOOK...\n       " or "")
    .. "kbrun COMMAND [OPTION...] [ARGUMENT...]\n"
    .. section("Commands", rows, width)
    .. "\nkbrun COMMAND --help explains a command"
    .. (runs and "; kbrun run --help explains running playbooks" or "") .. ".\n"
end

return M
