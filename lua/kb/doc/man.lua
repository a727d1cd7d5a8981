--- The manual page kbrun.1, from the tables of the commands.
local common = require "kb.command.common"
local embedded = require "kb.core.embedded"
local help = require "kb.help"
local options = require "kb.options"

local M = {}

-- A backslash, a dash, and a dot or quote that begins a line mean something.
local function escape(text)
  return (text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("\n([.'])", "\n\\&%1"):gsub("^([.'])",
    "\\&%1"))
end

local function item(name, text)
  return (".TP\n.B %s\n%s\n"):format(escape(name), escape(text))
end

local function command_part(command, all)
  local parts = { (".SH %s\n"):format(command.name:upper()) }
  local name = command.name == "run" and "" or command.name .. " "
  parts[#parts + 1] = (".B kbrun %s\n[OPTION...] %s\n.PP\n"):format(name,
    escape(help.usage(command)))
  parts[#parts + 1] = escape(command.description or command.summary .. ".") .. "\n"
  for _, argument in ipairs(command.arguments or {}) do
    parts[#parts + 1] = item(argument.name, argument.help)
  end
  for _, option in ipairs(all) do
    parts[#parts + 1] = item((options.synopsis(option):gsub("^%s+", "")),
      options.explanation(option))
  end
  return table.concat(parts)
end

--- The page.
-- @param commands list of tables: command, and all its options
-- @return string: in man's own language
function M.page(commands)
  local parts = { ('.TH KBRUN 1 "" "kbrun %s"\n'):format(embedded.version),
    ".SH NAME\nkbrun \\- orchestrate hosts over SSH with playbooks written in Lua\n" }
  for _, row in ipairs(commands) do
    parts[#parts + 1] = command_part(row.command, row.options)
  end
  parts[#parts + 1] = ".SH EXIT STATUS\n"
  for _, row in ipairs(common.statuses) do
    parts[#parts + 1] = item(tostring(row[2]), row[3])
  end
  parts[#parts + 1] = ".SH ENVIRONMENT\n"
    .. item("NO_COLOR", "print without colour, when it is not empty")
  return table.concat(parts)
end

return M
