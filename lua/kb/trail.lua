--- What a play asked, in order: the next run, and the hosts that come second, ask it in a few
--- round trips ahead of need. It is a hint: nothing depends on it being right.
-- Where the name of the host is part of a question, the trail has HOST in its place: what one host
-- asked of a file of its own, another one will ask of its own. Each user has a trail of its own in
-- it: what one asked, another one may not be allowed to ask, and would ask in vain.
--
-- Trails are kept in kbrun/trails of the user's cache, a file for each set of playbooks that are
-- run together, for the hundred sets that were run last. A run reads its file when it begins and
-- replaces it when it ends, so that it needs none meanwhile.

local fact = require "kb.fact"
local json = require "kb.json"
local localfile = require "kb.localfile"
local sys = require "kb.core.sys"

local HOST = "\1"

local Trail = { __name = "kb.trail" }
Trail.__index = Trail

local M = {}

local LONGEST = 5000
local MOST_FILES = 100

--- A trail, from an earlier run or empty.
-- @param asked table or nil: user ("": who logs in) -> list of { name, args... }
-- @return trail
function M.new(asked)
  local trail = setmetatable({ asked = {}, places = {}, noted = {} }, Trail)
  for user, questions in pairs(asked or {}) do
    for _, question in ipairs(questions) do
      trail:_add(question, user)
    end
  end
  return trail
end

local function replaced(question, what, by)
  local copy = { question[1] }
  for i = 2, #question do
    local word = question[i]
    copy[i] = type(word) == "string" and word:gsub(what, by) or word
  end
  return copy
end

-- A question as any host would ask it; a name that is part of a longer word is none.
local function of_any(question, host)
  return replaced(question, "%f[%w]" .. host:gsub("%p", "%%%0") .. "%f[%W]", HOST)
end

function Trail:_add(question, user)
  local questions = self.asked[user] or {}
  local places = self.places[user] or {}
  self.asked[user], self.places[user] = questions, places
  local key = fact.key(table.unpack(question))
  if not places[key] and #questions < LONGEST then
    questions[#questions + 1] = question
    places[key] = #questions
  end
end

--- Remember that something was asked.
-- @param question { name, args... }
-- @param host string: the name of the host that was asked
-- @param user string: who asked; "": who logs in
function Trail:note(question, host, user)
  local any = of_any(question, host)
  self.noted[user] = self.noted[user] or {}
  self.noted[user][fact.key(table.unpack(any))] = true
  self:_add(any, user)
end

--- What the next run is to ask: what this one did; what it was only given stays when nobody asked
-- anything, and else goes. An address of another day would be waited for.
-- @return table: user -> list of { name, args... }
function Trail:kept()
  if not next(self.noted) then
    return self.asked
  end
  local kept = {}
  for user, keys in pairs(self.noted) do
    kept[user] = {}
    for _, question in ipairs(self.asked[user]) do
      local known = keys[fact.key(table.unpack(question))]
      kept[user][#kept[user] + 1] = known and question or nil
    end
  end
  return kept
end

--- What was asked after a question.
-- @param question { name, args... }
-- @param host string: the name of the host that is asked
-- @param user string: who asks; "": who logs in
-- @param n integer: at most so many
-- @return list of questions, without those whose fact is costly
function Trail:after(question, host, user, n)
  local questions, places = self.asked[user] or {}, self.places[user] or {}
  local place = places[fact.key(table.unpack(of_any(question, host)))]
  local name = host:gsub("%%", "%%%%")
  local list = {}
  for i = (place or #questions) + 1, #questions do
    if #list == n then
      break
    end
    if not fact.find(questions[i][1]).costly then
      list[#list + 1] = replaced(questions[i], HOST, name)
    end
  end
  return list
end

-- Where the trails of these playbooks are kept between runs.
local function file_of(paths)
  local cache = sys.getenv("XDG_CACHE_HOME")
  if not cache or cache == "" then
    cache = sys.self().home .. "/.cache"
  end
  local real = {}
  for i, path in ipairs(paths) do
    real[i] = sys.realpath(path) or path
  end
  return ("%s/kbrun/trails"):format(cache), localfile.digest_of(table.concat(real, "\n"))
end

--- The trails that the last run of these playbooks left.
-- @param paths list of strings: the playbooks, which are loaded: they may bring facts of their own
-- @return table: play name -> trail
function M.load(paths)
  local dir, name = file_of(paths)
  local text = sys.read_file(dir .. "/" .. name)
  local ok, trails = pcall(M.parse, text or "{}")
  return ok and trails or {} -- a damaged file costs round trips, not the run
end

-- The questions whose facts there are.
local function known_of(questions)
  local known = {}
  for _, question in ipairs(questions) do
    if pcall(fact.find, question[1]) then
      known[#known + 1] = question
    end
  end
  return known
end

--- Trails from the text of a file.
-- @param text string: JSON
-- @return table: play name -> trail
-- @raise when it holds anything else
function M.parse(text)
  local trails = {}
  for play, asked in pairs(json.decode(text)) do
    local known = {}
    for user, questions in pairs(asked) do
      known[user] = known_of(questions)
    end
    trails[play] = M.new(known)
  end
  return trails
end

-- Remove files but those written last; another kbrun may be removing them, too.
local function thin_out(dir)
  local files = {}
  for _, name in ipairs(sys.list(dir) or {}) do
    local stat = sys.stat(dir .. "/" .. name, false)
    files[#files + 1] = stat and { path = dir .. "/" .. name, mtime = stat.mtime }
  end
  table.sort(files, function(a, b)
    return a.mtime > b.mtime
  end)
  for i = MOST_FILES + 1, #files do
    sys.remove(files[i].path)
  end
end

--- Keep the trails of plays for the next run. Where they cannot be kept, the next run is slower.
-- @param paths list of strings: the playbooks
-- @param plays list of plays
function M.save(paths, plays)
  local dir, name = file_of(paths)
  local trails = {}
  for _, play in ipairs(plays) do
    trails[play.name] = play.trail and play.trail:kept()
  end
  if sys.mkdir(dir, tonumber("700", 8)) then
    sys.write_file(dir .. "/" .. name, json.encode(trails))
    thin_out(dir)
  end
end

return M
