--- What a play asked, in order: the next run, and the hosts that come second, ask it in a few
--- round trips ahead of need. It is a hint: nothing depends on it being right.
-- Where the name of the host is part of a question, the trail has HOST in its place: what one host
-- asked of a file of its own, another one will ask of its own.

local fact = require "kb.fact"
local json = require "kb.json"
local localfile = require "kb.localfile"
local sys = require "kb.core.sys"

local HOST = "\1"

local Trail = { __name = "kb.trail" }
Trail.__index = Trail

local M = {}

local LONGEST = 5000

--- A trail, from an earlier run or empty.
-- @param questions list of { name, args... } or nil
-- @return trail
function M.new(questions)
  local trail = setmetatable({ questions = {}, places = {} }, Trail)
  for _, question in ipairs(questions or {}) do
    trail:_add(question)
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

function Trail:_add(question)
  local key = fact.key(table.unpack(question))
  if not self.places[key] and #self.questions < LONGEST then
    self.questions[#self.questions + 1] = question
    self.places[key] = #self.questions
  end
end

--- Remember that something was asked.
-- @param question { name, args... }
-- @param host string: the name of the host that was asked
function Trail:note(question, host)
  self:_add(of_any(question, host))
end

--- What was asked after a question.
-- @param question { name, args... }
-- @param host string: the name of the host that is asked
-- @param n integer: at most so many
-- @return list of questions, without those whose fact is costly
function Trail:after(question, host, n)
  local place = self.places[fact.key(table.unpack(of_any(question, host)))]
  local name = host:gsub("%%", "%%%%")
  local list = {}
  for i = (place or #self.questions) + 1, #self.questions do
    if #list == n then
      break
    end
    if not fact.find(self.questions[i][1]).costly then
      list[#list + 1] = replaced(self.questions[i], HOST, name)
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

--- Trails from the text of a file.
-- @param text string: JSON
-- @return table: play name -> trail
-- @raise when it holds anything else
function M.parse(text)
  local trails = {}
  for play, questions in pairs(json.decode(text)) do
    local known = {}
    for _, question in ipairs(questions) do
      if pcall(fact.find, question[1]) then
        known[#known + 1] = question
      end
    end
    trails[play] = M.new(known)
  end
  return trails
end

--- Keep the trails of plays for the next run. Where they cannot be kept, the next run is slower.
-- @param paths list of strings: the playbooks
-- @param plays list of plays
function M.save(paths, plays)
  local dir, name = file_of(paths)
  local trails = {}
  for _, play in ipairs(plays) do
    trails[play.name] = play.trail and play.trail.questions
  end
  if sys.mkdir(dir, tonumber("700", 8)) then
    sys.write_file(dir .. "/" .. name, json.encode(trails))
  end
end

return M
