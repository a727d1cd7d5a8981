--- What `kbrun --json` told of a run, and two runs compared.
local json = require "kb.json"

local M = {}

--- Read the events of a run.
-- @param text string: one JSON object a line
-- @return table: steps (host and id -> its last status but "running"), errors (list of texts),
-- plays (list
-- of { play, seconds }), summary
function M.read(text)
  local run = { steps = {}, errors = {}, plays = {} }
  for line in text:gmatch "[^\n]+" do
    local event = assert(json.decode(line))
    if event.event == "step" and event.status ~= "running" then
      run.steps[event.host .. " " .. event.id] = event.status
    elseif event.event == "host" and event.status ~= "done" then
      local e = event.error or {}
      run.errors[#run.errors + 1] = ("%s in %s: %s: %s\n%s\n%s"):format(event.host, event.play,
        event.status, e.message, e.output or "", e.evidence or "")
    elseif event.event == "play" and event.seconds then
      run.plays[#run.plays + 1] = { play = event.play, seconds = event.seconds }
    elseif event.event == "summary" then
      run.summary = event
    end
  end
  return run
end

--- How true a dry run was.
-- @param said table: of the dry run, as read gives it
-- @param done table: of the run
-- @return table: hit, missed, extra, unknown (integers), and missed_ids, extra_ids (lists)
function M.fidelity(said, done)
  local f = { hit = 0, missed = 0, extra = 0, unknown = 0, missed_ids = {}, extra_ids = {} }
  for id, status in pairs(done.steps) do
    if status == "changed" and said.steps[id] == "changed" then
      f.hit = f.hit + 1
    elseif status == "changed" then
      f.missed = f.missed + 1
      f.missed_ids[#f.missed_ids + 1] = id
    end
  end
  for id, status in pairs(said.steps) do
    if status == "changed" and done.steps[id] ~= "changed" then
      f.extra = f.extra + 1
      f.extra_ids[#f.extra_ids + 1] = id
    elseif status == "unknown" then
      f.unknown = f.unknown + 1
    end
  end
  return f
end

return M
