--- Which plays of a playbook must be done before which.

local err = require "kb.err"
local suggest = require "kb.suggest"
local sys = require "kb.core.sys"

local M = {}

-- The names of all plays that the playbooks in a directory declare.
local function beside(dir, names_in)
  local names = {}
  for _, file in ipairs(sys.list(dir) or {}) do
    if file:find("%.lua$") then
      for name in pairs(names_in(dir .. "/" .. file)) do
        names[#names + 1] = name
      end
    end
  end
  return names
end

local function contains(list, wanted)
  for _, item in ipairs(list) do
    if item == wanted then
      return true
    end
  end
  return false
end

local function check_known(playbook, play, names_in)
  for _, name in ipairs(play.needs) do
    if not playbook.by_name[name] then
      local names = beside(play.dir, names_in)
      if not contains(names, name) then
        err.raise("usage", ("play %q needs %q, which there is not%s"):format(play.name, name,
          suggest.hint(name, names)), { file = play.file, line = play.line })
      end
    end
  end
end

-- A play that needs itself, by whatever way round, would wait for ever.
local function check_cycles(playbook)
  local state = {}
  local function visit(play, path)
    if state[play] == "done" then
      return
    end
    if state[play] == "visiting" then
      err.raise("usage", ("plays need each other: %s -> %s"):format(path, play.name),
        { file = play.file, line = play.line })
    end
    state[play] = "visiting"
    for _, name in ipairs(play.needs) do
      if playbook.by_name[name] then
        visit(playbook.by_name[name], path == "" and play.name or path .. " -> " .. play.name)
      end
    end
    state[play] = "done"
  end
  for _, play in ipairs(playbook.plays) do
    visit(play, "")
  end
end

--- Check what plays need, and fill it in where a play does not say: all plays before it.
-- A play of another playbook in the same directory that is not part of this run counts as done, so
-- that one part of a larger playbook can be run alone.
-- @param playbook table: plays (list, in order) and by_name
-- @param names_in function(path) -> table by name: the plays that a file declares
-- @raise kb.err of kind usage: a play that there is not, or plays that need each other
function M.check(playbook, names_in)
  local names = {}
  for i, play in ipairs(playbook.plays) do
    names[i] = play.name
    play.needs = play.needs or table.move(names, 1, i - 1, 1, {})
  end
  for _, play in ipairs(playbook.plays) do
    check_known(playbook, play, names_in)
  end
  check_cycles(playbook)
end

--- Let plays that are kept wait for what those needed that are left out: a part without its middle
-- keeps its order.
-- @param by_name table: all plays of the playbook
-- @param kept list of plays
function M.bridge(by_name, kept)
  local stays = {}
  for _, play in ipairs(kept) do
    stays[play.name] = true
  end
  local function collect(needs, list, seen)
    for _, name in ipairs(needs) do
      if not seen[name] then
        seen[name] = true
        list[#list + 1] = name
        if by_name[name] and not stays[name] then
          collect(by_name[name].needs, list, seen)
        end
      end
    end
    return list
  end
  for _, play in ipairs(kept) do
    play.needs = collect(play.needs, {}, {})
  end
end

return M
