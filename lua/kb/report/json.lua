--- One JSON object per event, and a summary at the end, on standard output.
--
-- Every object has `event`. `step`: play, host, id (the same in a dry run and in the run), op,
-- status (running, changed, same, failed, cancelled; in a dry run also unknown: with an error the
-- preview of the host ends here, without one the step may be needed), title, reason, diff, seconds,
-- file, line, unstated (true: nobody has said what the command changes), error {kind, message,
-- command, status, output, evidence}. `play`: play, status, hosts, needs, needed (the play without
-- which it is skipped), seconds. `start`: play, host: a host's part of a play begins; `host`: play,
-- host, address, status: it is over. `ask`: play, question, text, answered (by whom, when nobody is
-- waited for); `answer`: it has come. `retry`: host, message. `print`: host, text: what a playbook
-- prints. `summary`: steps (how many of each; perhaps: those of the unknown that may be needed;
-- unstated), counts (of hosts), failures, seconds, path (the critical path: play, host, seconds,
-- step, step_seconds), dry_run, interrupted, cancelled (hosts that were stopped in the middle),
-- trips (requests by host). Bytes that are not UTF-8 are written as U+FFFD.

local data = require "kb.data"
local json = require "kb.json"

local Json = { __name = "kb.report.json" }
Json.__index = Json

local M = {}

--- A view that writes JSON lines.
-- @param write function(text): standard output if absent
-- @return view
function M.new(write)
  return setmetatable({ write = write or function(text)
    io.stdout:write(text)
    io.stdout:flush()
  end }, Json)
end

local function plain(value)
  if type(value) ~= "table" then
    return type(value) == "function" and nil or value
  end
  local copy = data.kind(value) == "list" and data.list {} or {}
  for k, v in pairs(value) do
    if k ~= "traceback" then
      copy[k] = plain(v)
    end
  end
  return copy
end

-- Lists are lists also when nothing is in them.
local lists = { "needs", "failures", "cancelled", "path" }

--- Write an event.
-- @param event table
function Json:event(event)
  event = plain(event)
  for _, name in ipairs(lists) do
    event[name] = event[name] and data.list(event[name])
  end
  self.write(json.encode(event, { lossy = true }) .. "\n")
end

--- Write the summary.
-- @param summary table
function Json:finish(summary)
  local event = plain(summary)
  event.event = "summary"
  event.lost = nil
  self:event(event)
end

return M
