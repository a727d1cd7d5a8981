--- What a run tells: one stream of events, shown by one or more views.
--
-- Events are tables with `event` (play, host, step, retry, output, summary) and, as fits, play,
-- host, op, id, status, title, reason, diff, seconds, file, line, error. Texts are masked here,
-- once for all views.

local secret = require "kb.secret"
local unknown = require "kb.unknown"

local Report = { __name = "kb.report" }
Report.__index = Report

local M = {}

--- A report that shows its events in views.
-- @param views list: each has event(self, event) and optionally output(self, host, kind, text),
-- output_ended(self, host, kind) and finish(self, summary)
-- @return report
function M.new(views)
  return setmetatable({ views = views, failures = {}, maskers = {},
    counts = { changed = 0, same = 0, failed = 0, unknown = 0, cancelled = 0 } }, Report)
end

-- Events are a few tables deep; what is deeper, or not ours to look into, is shown as text.
local DEEPEST = 4

local function masked(value, depth)
  if type(value) == "string" then
    return secret.mask(value)
  elseif type(value) ~= "table" then
    return value
  elseif depth > DEEPEST or secret.is(value) or unknown.is(value) then
    return secret.mask(tostring(value))
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
  if event.event == "step" and event.status ~= "running" then
    self:_flush(event.host, "out")
    self:_flush(event.host, "err")
  end
  if event.event == "step" and self.counts[event.status] then
    self.counts[event.status] = self.counts[event.status] + 1
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
  self:_show_output(host, kind, self.maskers[key](chunk))
end

function Report:_show_output(host, kind, text)
  for _, view in ipairs(self.views) do
    if view.output and text ~= "" then
      view:output(host, kind, text)
    end
  end
end

-- A step is over: what was held back, since it might have been the beginning of a secret, was not,
-- and a last line without its end is a line.
function Report:_flush(host, kind)
  local masker = self.maskers[host .. kind]
  if masker then
    self:_show_output(host, kind, masker(nil))
    self.maskers[host .. kind] = nil
    for _, view in ipairs(self.views) do
      if view.output_ended then
        view:output_ended(host, kind)
      end
    end
  end
end

-- An error's text without what differs from host to host, and with its evidence (or another one).
local function text_of(e, evidence)
  local host, own = e.host, e.evidence
  e.host, e.evidence = nil, evidence
  local text = tostring(e)
  e.host, e.evidence = host, own
  return text
end

-- The same failure on many hosts is one entry. Evidence has times and process ids, so it is that
-- of the first host.
local function grouped(failures)
  local list, by_text = {}, {}
  for _, event in ipairs(failures) do
    local e = event.error
    local key = text_of(e, nil)
    local entry = by_text[key]
    if not entry then
      entry = { hosts = {}, text = text_of(e, e.evidence), status = event.status,
        traceback = e.traceback }
      by_text[key] = entry
      list[#list + 1] = entry
    elseif #entry.hosts == 1 then
      local first = entry.error
      entry.text = text_of(first, first.evidence and ("of %s:\n%s"):format(entry.hosts[1],
        first.evidence))
    end
    entry.error = entry.error or e
    table.insert(entry.hosts, event.host)
  end
  for _, entry in ipairs(list) do
    entry.error = nil
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
