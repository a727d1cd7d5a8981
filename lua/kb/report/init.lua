--- What a run tells: one stream of events, shown by one or more views.
--
-- Events are tables with `event` (play, host, step, retry, output, summary) and, as fits, play,
-- host, op, id, status, title, reason, diff, seconds, file, line, error. Texts are masked here,
-- once for all views.

local secret = require "kb.secret"

local Report = { __name = "kb.report" }
Report.__index = Report

local M = {}

--- A report that shows its events in views.
-- @param views list: each has event(self, event) and optionally output(self, host, kind, text) and
-- finish(self, summary)
-- @return report
function M.new(views)
  return setmetatable({ views = views, steps = {}, failures = {}, maskers = {},
    counts = { changed = 0, same = 0, failed = 0, unknown = 0, cancelled = 0 } }, Report)
end

local function masked(value, depth)
  if type(value) == "string" then
    return secret.mask(value)
  end
  if type(value) ~= "table" or depth > 4 or secret.is(value) then
    return type(value) == "table" and tostring(value) or value
  end
  local copy = setmetatable({}, getmetatable(value))
  for k, v in pairs(value) do
    copy[k] = masked(v, depth + 1)
  end
  return copy
end

--- Tell an event.
-- @param event table
function Report:emit(event)
  event = masked(event, 0)
  if event.event == "step" and self.counts[event.status] then
    self.counts[event.status] = self.counts[event.status] + 1
    self.steps[#self.steps + 1] = { id = event.id, host = event.host, status = event.status }
  elseif event.event == "host" and (event.status == "failed" or event.status == "unreachable") then
    self.failures[#self.failures + 1] = event
  end
  for _, view in ipairs(self.views) do
    view:event(event)
  end
end

--- Pass on what a running command prints.
-- @param host string
-- @param kind string: out or err
-- @param chunk string
function Report:output(host, kind, chunk)
  local key = host .. kind
  self.maskers[key] = self.maskers[key] or secret.masker()
  local text = self.maskers[key](chunk)
  for _, view in ipairs(self.views) do
    if view.output and text ~= "" then
      view:output(host, kind, text)
    end
  end
end

-- The same failure on many hosts is one entry.
local function grouped(failures)
  local list, by_text = {}, {}
  for _, event in ipairs(failures) do
    local e = event.error
    local host = e.host
    e.host = nil
    local text = tostring(e)
    e.host = host
    if not by_text[text] then
      by_text[text] = { hosts = {}, text = text, status = event.status }
      list[#list + 1] = by_text[text]
    end
    table.insert(by_text[text].hosts, event.host)
  end
  return list
end

--- Tell how it ended.
-- @param summary table: as kb.runner gives it, with dry_run (boolean)
function Report:finish(summary)
  summary.steps = self.counts
  summary.failures = grouped(self.failures)
  for _, view in ipairs(self.views) do
    if view.finish then
      view:finish(summary)
    end
  end
end

return M
