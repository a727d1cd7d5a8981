--- What a run tells: one stream of events, shown by one or more views.
--
-- Events are tables with `event` (play, start, host, step, warning, retry, summary) and, as fits,
-- play, host, op, id, status, title, reason, diff, seconds, file, line, error. Texts are masked
-- here, once for all views.

local path = require "kb.report.path"
local secret = require "kb.secret"
local unknown = require "kb.unknown"

local Report = { __name = "kb.report" }
Report.__index = Report

local M = {}

--- A report that shows its events in views.
-- @param views list: each has event(self, event) and optionally output(self, host, kind, text),
-- output_ended(self, host, kind), progress(self, host, done, total) and finish(self, summary)
-- @param whole boolean: show commands that are scripts in full
-- @return report
function M.new(views, whole)
  return setmetatable({ views = views, whole = whole, failures = {}, maskers = {},
    path = path.new(),
    counts = { changed = 0, same = 0, failed = 0, unknown = 0, cancelled = 0, perhaps = 0,
      unstated = 0 } }, Report)
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

function Report:_count(event)
  local counts = self.counts
  counts[event.status] = counts[event.status] + 1
  counts.perhaps = counts.perhaps + (event.status == "unknown" and not event.error and 1 or 0)
  counts.unstated = counts.unstated + (event.unstated and 1 or 0)
end

--- Tell an event.
-- @param event table
function Report:emit(event)
  event = masked(event, 0)
  self.path:event(event)
  if event.event == "step" and event.status ~= "running" then
    self:_flush(event.host, "out")
    self:_flush(event.host, "err")
  end
  if event.event == "step" and self.counts[event.status] then
    self:_count(event)
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

--- Tell how far a transfer is.
-- @param host string
-- @param done integer: bytes
-- @param total integer: bytes
function Report:progress(host, done, total)
  for _, view in ipairs(self.views) do
    if view.progress then
      view:progress(host, done, total)
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

-- An error's text without its host, and with its evidence or another one.
local function text_of(e, evidence, whole)
  local host, own = e.host, e.evidence
  e.host, e.evidence = nil, evidence
  local text = e:text(whole)
  e.host, e.evidence = host, own
  return text
end

-- A text in which a whole word is replaced.
local function without(text, word, mark)
  return word and (text:gsub("%f[%w]" .. word:gsub("%p", "%%%0") .. "%f[%W]", mark)) or text
end

-- An error's text as it would be for any host.
local function text_of_any(event, whole)
  local text = without(text_of(event.error, nil, whole), event.address, "<address>")
  return without(text, event.host, "<host>")
end

-- What a group of equal failures shows. Evidence has times and process ids, so it is that of the
-- first host.
local function text_of_group(group, whole)
  local first = group[1]
  local evidence = first.error.evidence
  if #group == 1 then
    return text_of(first.error, evidence, whole)
  end
  local text = text_of(first.error, nil, whole)
  for _, event in ipairs(group) do
    if text_of(event.error, nil, whole) ~= text then
      text = text_of_any(first, whole)
      break
    end
  end
  return text .. ((evidence or "") ~= "" and ("\n  evidence: of %s:\n    %s"):format(first.host,
    (evidence:gsub("\n", "\n    "))) or "")
end

-- The same failure on many hosts is one entry, also when it names its host.
local function grouped(failures, whole)
  local groups, by_text, list = {}, {}, {}
  for _, event in ipairs(failures) do
    local key = text_of_any(event, true)
    if not by_text[key] then
      by_text[key] = {}
      groups[#groups + 1] = by_text[key]
    end
    table.insert(by_text[key], event)
  end
  for i, group in ipairs(groups) do
    local hosts = {}
    for _, event in ipairs(group) do
      hosts[#hosts + 1] = event.host
    end
    list[i] = { hosts = hosts, text = text_of_group(group, whole), status = group[1].status,
      traceback = group[1].error.traceback }
  end
  return list
end

--- Tell how it ended.
-- @param summary table: as kb.runner gives it, with dry_run (boolean)
function Report:finish(summary)
  summary.steps = self.counts
  summary.failures = grouped(self.failures, self.whole)
  summary.path = self.path:find()
  for _, view in ipairs(self.views) do
    if view.finish then
      view:finish(summary)
    end
  end
end

return M
