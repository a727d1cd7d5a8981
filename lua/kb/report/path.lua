--- The critical path of a run: the chain of plays, and of hosts in them, whose ends decided how
--- long the run took. It is found in the events alone.
--
-- A play begins when the last of the plays that it needs has ended; a host of a play begins when
-- the play does or, with `serial` and `forks`, when another host has ended. So the path is found
-- from the end backwards.

local task = require "kb.core.task"

local Path = { __name = "kb.report.path" }
Path.__index = Path

local M = {}

--- Collects events of a run.
-- @param now function() or nil: the time in seconds; task.now if absent
-- @return path
function M.new(now)
  return setmetatable({ plays = {}, now = now or task.now }, Path)
end

local seen = {}

function seen.play(self, event, now)
  if event.status == "started" then
    self.plays[event.play] = { name = event.play, needs = event.needs or {}, from = now,
      hosts = {} }
  elseif self.plays[event.play] then
    self.plays[event.play].to = now
  end
end

local function host_of(self, event, now)
  local play = self.plays[event.play]
  if not play then
    return nil
  end
  local host = play.hosts[event.host]
  if not host then
    host = { name = event.host, from = now, to = now, seconds = 0 }
    play.hosts[event.host] = host
  end
  return host
end

-- A host's longest step stands for what it did.
function seen.step(self, event, now)
  local seconds = event.seconds or 0
  local host = host_of(self, event, now - seconds)
  if host then
    host.from, host.to = math.min(host.from, now - seconds), now
    if seconds > host.seconds and event.status ~= "running" then
      host.seconds, host.step = seconds, event.title or event.reason or event.op
    end
  end
end

function seen.start(self, event, now)
  host_of(self, event, now)
end

function seen.host(self, event, now)
  local host = host_of(self, event, now)
  if host then
    host.to, host.over = now, true
  end
end

--- Note an event.
-- @param event table
function Path:event(event)
  local note = seen[event.event]
  if note then
    note(self, event, self.now())
  end
end

-- The one that ended last among those that had ended by then; of equals the first by name.
local function last(entries, by)
  local found
  for _, entry in pairs(entries) do
    if entry.to and entry.to <= by and (not found or entry.to > found.to
      or entry.to == found.to and entry.name < found.name) then
      found = entry
    end
  end
  return found
end

-- What waits for an end is noted a little later than the end.
local SLACK = 0.05

-- The hosts of a play whose ends decided its own, the last one first.
local function hosts_back(play)
  local left, chain, by = {}, {}, play.to
  for _, host in pairs(play.hosts) do
    left[host.name] = host.over and host or nil
  end
  local host = last(left, by + SLACK)
  while host do
    chain[#chain + 1] = { play = play.name, host = host.name, step = host.step,
      step_seconds = host.step and host.seconds, to = by }
    left[host.name], by = nil, host.from
    host = by > play.from + SLACK and last(left, by + SLACK) or nil
  end
  return chain
end

local function play_back(self, play)
  local list = {}
  for _, name in ipairs(play.needs) do
    list[#list + 1] = self.plays[name]
  end
  return last(list, play.from + SLACK)
end

--- The path, from its beginning to its end.
-- @return list of { play, host, seconds, step (its longest, or nil), step_seconds }
function Path:find()
  local back, play = {}, last(self.plays, math.huge)
  while play do
    local chain = hosts_back(play)
    for i, entry in ipairs(chain) do
      entry.seconds = entry.to - (chain[i + 1] and chain[i + 1].to or play.from)
      entry.to = nil
      back[#back + 1] = entry
    end
    play = play_back(self, play)
  end
  for i = 1, #back // 2 do
    back[i], back[#back + 1 - i] = back[#back + 1 - i], back[i]
  end
  return back
end

return M
