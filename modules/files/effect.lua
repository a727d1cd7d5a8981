--- What changes to files do to the facts that speak of many paths.

local kb = require "kb"

local M = {}

-- Facts of one path that a change below it leaves as they are.
local of_one_path = { ["file.stat"] = true, ["file.digest"] = true, ["file.content"] = true }

local function is_above(dir, path)
  return dir == "/" or path:sub(1, #dir + 1) == dir .. "/"
end

-- The answers about the directories above a path at which something changed.
local function above(name, path, moment)
  if name == "file.exists" then
    return true, true
  elseif name == "file.changed" then
    return true, moment
  elseif not of_one_path[name] then
    return true, kb.unknown("known after the change of " .. path)
  end
end

--- The rule for a path that was written, made or given other attributes.
-- @param path string
-- @return function: an entry of an effect
function M.touched(path)
  local moment = kb.later()
  return function(name, of)
    if name:find("^file%.") and type(of) == "string" and (of == path or is_above(of, path)) then
      return above(name, path, moment)
    end
  end
end

--- The rule for a directory below which anything may have changed.
-- @param path string
-- @return function: an entry of an effect
function M.filled(path)
  local touched = M.touched(path .. "/.")
  return function(name, of)
    if name:find("^file%.") and type(of) == "string" and is_above(path, of) then
      return true, kb.unknown("known once " .. path .. " is filled")
    end
    return touched(name, of)
  end
end

--- The rule for a path at and below which nothing is any more.
-- @param path string
-- @return function: an entry of an effect
function M.gone(path)
  local moment = kb.later()
  return function(name, of)
    if not name:find("^file%.") or type(of) ~= "string" then
      return false
    elseif of == path or is_above(path, of) then
      return true, name == "file.stat" and { kind = "absent" } or false
    elseif is_above(of, path) and name ~= "file.exists" then
      return above(name, path, moment)
    end
  end
end

return M
