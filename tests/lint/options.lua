-- An option that is parsed is used: its value is looked at by the command's own
-- file, or by what the commands share.
local test = ...
local cli = require "kb.cli"
local options = require "kb.options"
local tree = require "lib.tree"

-- Files of lua/kb/command that the file requires, and itself.
local function sources(path, seen)
  seen = seen or {}
  if not seen[path] then
    seen[path] = tree.text(path)
    for name in seen[path]:gmatch('require%(?%s*"kb%.command%.([%w_.]+)"') do
      sources("lua/kb/command/" .. name:gsub("%.", "/") .. ".lua", seen)
    end
  end
  return seen
end

local function is_used(key, texts)
  for _, text in pairs(texts) do
    if text:find("%." .. key .. "%f[^%w_]") then
      return true
    end
  end
  return false
end

test("no option is parsed and ignored", function()
  local findings = {}
  local shared = { cli = tree.text("lua/kb/cli.lua") }
  for _, command in ipairs(cli.commands()) do
    local texts = sources("lua/kb/command/" .. command.name .. ".lua")
    for _, option in ipairs(cli.options(command)) do
      local key = options.key(option)
      if not is_used(key, texts) and not is_used(key, shared) then
        findings[#findings + 1] = ("kbrun %s --%s"):format(command.name, option.long)
      end
    end
  end
  tree.none(findings)
end)
