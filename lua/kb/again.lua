--- The command by which the user runs another playbook in the way that a run was started.

local quote = require "kb.quote"
local sys = require "kb.core.sys"

local M = {}

-- A variable that is given by its value may be a secret, which a message must not repeat.
local function may_be_told(option, value)
  return option.long ~= "extra" or value:sub(1, 1) == "@"
end

local function add(words, option, value)
  if value == true then
    words[#words + 1] = "--" .. option.long
  elseif value and value ~= option.default and may_be_told(option, value) then
    words[#words + 1] = option.short and "-" .. option.short or "--" .. option.long
    words[#words + 1] = tostring(value)
  end
end

--- The options of a command line that another one repeats.
-- @param options list of options (kb.options): those to repeat
-- @param given table: the values that the command line has given them
-- @return list of strings
function M.words(options, given)
  local words = {}
  for _, option in ipairs(options) do
    local value = given[option.long:gsub("%-", "_")]
    for _, one in ipairs(type(value) == "table" and value or { value }) do
      add(words, option, one)
    end
  end
  return words
end

-- As the user would write it from where they are.
local function shown(path)
  local here = sys.self().cwd .. "/"
  return path:sub(1, #here) == here and path:sub(#here + 1) or path
end

--- The command that runs another playbook with the same inventory and connections.
-- Variables are repeated when they were read from a file.
-- @param host host
-- @param name string: the playbook, which is beside that of the host's play, or comes with kbrun
-- @param ... strings: its options
-- @return string: "kbrun playbooks/reset.lua -i inventory.yaml --limit m1"
function M.command(host, name, ...)
  local path = host.play.dir .. "/" .. name
  local line = { "kbrun", sys.stat(path) and shown(path) or "playbooks/" .. name }
  for _, words in ipairs { host.run.again or {}, { ... } } do
    table.move(words, 1, #words, #line + 1, line)
  end
  return quote.list(line)
end

return M
