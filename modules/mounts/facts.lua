--- Facts about what is mounted.
local kb = require "kb"

local M = {}

--- Options of which a mount has either the one or not.
M.flags = { "ro", "noexec", "nosuid", "nodev", "noatime", "nodiratime", "relatime", "sync" }

local function unescape(word)
  return (word:gsub("\\(%d%d%d)", function(digits)
    return string.char(tonumber(digits, 8))
  end))
end

local function parse_line(line)
  local root, at, options, kind, source, more =
    line:match("^%d+ %d+ %d+:%d+ (%S+) (%S+) (%S+) .*%- (%S+) (%S+) (%S*)")
  if not root then
    return nil
  end
  local mount = { source = unescape(source), type = kind, root = unescape(root), options = {} }
  for _, flag in ipairs(M.flags) do
    mount.options[flag] = ("," .. options .. "," .. more .. ","):find("," .. flag .. ",", 1, true)
      ~= nil
  end
  return unescape(at), mount
end

--- What is mounted at a path; of several mounts the last, which hides the others.
-- @param path string
-- @return table: source, type, root (the directory of the file system that is seen), options (by
-- name a boolean: ro, noexec, nosuid, nodev, noatime, nodiratime, relatime, sync); false for none
M.at = kb.fact {
  name = "mount.at",
  command = function()
    return "cat /proc/self/mountinfo"
  end,
  parse = function(out, code, path)
    if code ~= 0 then
      return nil, "/proc/self/mountinfo cannot be read"
    end
    local found = false
    for line in out:gmatch("[^\n]+") do
      local at, mount = parse_line(line)
      if at == path then
        found = mount
      end
    end
    return found
  end,
  bare = false,
}

return M
