--- What is known of the home directory that comes with a new user.

local kb = require "kb"

local M = {}

-- What the skeleton brings is in the home directory, and nobody knows yet what it says.
local function furnished(home, skeleton)
  local brought = {}
  for _, name in ipairs(skeleton.names) do
    brought[home .. "/" .. name] = true
  end
  return function(name, path)
    if name:find("^file%.") and type(path) == "string" and brought[path] then
      return true, name == "file.exists" or kb.unknown "known once the user is made"
    end
  end
end

-- The directories above it that useradd makes on the way.
local function missing_above(home, ask, effect)
  local dir = home:match("^(.*)/")
  while dir ~= "" and ask("file.stat", dir).kind == "absent" do
    table.insert(effect, { "file.exists", dir, true })
    table.insert(effect, { "file.stat", dir, { kind = "directory", owner = "root", group = "root",
      mode = tonumber("755", 8) } })
    dir = dir:match("^(.*)/")
  end
end

--- Add to an effect what `useradd -m` makes of a home directory; one that is there already stays
-- as it is.
-- @param effect list
-- @param ask function(fact name, args...)
-- @param account table: name, group, home
function M.add(effect, ask, account)
  local home = account.home
  if ask("file.stat", home).kind ~= "absent" then
    return
  end
  local skeleton = ask "user.skeleton"
  missing_above(home, ask, effect)
  table.insert(effect, furnished(home, skeleton))
  table.insert(effect, { "file.exists", home, true })
  table.insert(effect, { "file.stat", home, { kind = "directory", owner = account.name,
    group = account.group, mode = skeleton.mode } })
end

return M
