--- One line per event, for pipes, logs and people who like to scroll.

local err = require "kb.err"
local term = require "kb.term"

local Lines = { __name = "kb.report.lines" }
Lines.__index = Lines

local M = {}

local styles = { changed = "yellow", same = "green", failed = "red bold", unknown = "magenta",
  ["may run"] = "magenta", unreachable = "red bold", warning = "yellow bold", cancelled = "red",
  ended = "magenta", skipped = "faint" }

--- A view that writes lines.
-- @param options table: verbose (integer: 1 shows what stayed the same, 2 also what commands
-- print), diff (boolean), dry_run (boolean), write (function(text); absent: standard output), quiet
-- @return view
function M.new(options)
  local view = setmetatable(options, Lines)
  view.write = options.write or function(text)
    io.stdout:write(text)
    io.stdout:flush()
  end
  view.width = 1
  view.partial = {}
  view.skipped = {} -- play -> true
  view.with_it = {} -- plays that were skipped because others were, not told so far
  return view
end

local function paint(style, text)
  return style and term.paint(style, text, 1) or text
end

local function place(event)
  return event.file and paint("faint", ("  %s:%s"):format(event.file:match("[^/]*$"), event.line))
    or ""
end

function Lines:_line(word, host, text, event)
  self.width = math.max(self.width, #host, 1) -- Lua has no %-0s
  self.write(("%s  %-" .. self.width .. "s  %s%s\n"):format(
    paint(styles[word], ("%-9s"):format(word)), host, term.clean(err.without_host(text, host)),
    event and place(event) or ""))
end

function Lines:_diff(diff)
  for line in (diff:gsub("\n$", "") .. "\n"):gmatch("(.-)\n") do
    local first = line:sub(1, 1)
    local style = first == "+" and "green" or first == "-" and "red" or "faint"
    self.write("             " .. paint(style, term.clean(line)) .. "\n")
  end
end

-- A message that says itself what was done needs no title before it. A title names all packages
-- that it installs; in an error their beginning is enough.
local function what_failed(title, e)
  local message = e.message
  title = term.cut(title)
  local complete = e.complete or message:sub(1, #title) == title
  return complete and message or ("%s: %s"):format(title, message)
end

-- Either a step that may be needed, or the one at which a preview ends.
function Lines:_unknown(event)
  if event.error then
    return self:_line("unknown", event.host, ("%s: %s"):format(event.op, event.error.message),
      event)
  elseif self.quiet then
    return
  end
  self:_line("may run", event.host, event.title, event)
  if self.diff then
    self:_diff(event.reason)
  end
end

-- Whether a step failed because its own host could not be reached: that is no fault of the step.
local function lost_itself(event)
  return event.error.kind == "unreachable" and event.error.host == event.host
end

-- A play that is skipped takes with it those that need it: they share a line.
function Lines:_skipped(event)
  if self.skipped[event.needed] then
    table.insert(self.with_it, event.play)
  else
    self:_line("skipped", "", ("%s: %s"):format(event.play, event.reason))
  end
  self.skipped[event.play] = true
end

function Lines:_tell_skipped()
  if #self.with_it > 0 then
    self:_line("skipped", "", "and what needs these: " .. table.concat(self.with_it, ", "))
    self.with_it = {}
  end
end

local shown = {}

function shown.play(self, event)
  if event.status == "started" and not self.quiet then
    self.write(("%s  %d host%s\n"):format(paint("bold", event.play), event.hosts,
      event.hosts == 1 and "" or "s"))
  elseif event.status == "skipped" then
    self:_skipped(event)
  elseif event.status == "stopped" then
    self:_line("failed", "", event.play .. " stops here: too many of its hosts failed")
  end
end

-- The question is the last of it: the answer is written behind it.
function shown.ask(self, event)
  self.write(("\n%s\n\n%s %s"):format(term.clean(event.text), paint("bold", event.question),
    event.answered and event.answered .. "\n" or "yes or no: "))
end

function shown.step(self, event)
  local status = event.status
  if status == "same" and self.verbose > 0 then
    self:_line("same", event.host, ("%s: %s"):format(event.op, event.reason), event)
  elseif status == "changed" and not self.quiet then
    self:_line("changed", event.host, event.title .. (event.seconds >= 1
      and ("  (%.1f s)"):format(event.seconds) or "")
      .. (self.dry_run and event.unstated and "  (what it changes is not said)" or ""), event)
    if self.diff and event.reason then
      self:_diff(event.reason)
    end
    if self.diff and event.diff then
      self:_diff(event.diff)
    end
  elseif status == "failed" and lost_itself(event) then
    self:_line("unreachable", event.host, event.error.message, event)
  elseif status == "failed" then
    self:_line("failed", event.host, what_failed(event.title or event.op, event.error),
      event)
  elseif status == "cancelled" then
    self:_line("cancelled", event.host, event.title or event.op, event)
  elseif status == "unknown" then
    self:_unknown(event)
  end
end

function shown.host(self, event)
  if event.status == "unreachable" and not event.error.op then
    self:_line("unreachable", event.host, event.error.message, event.error)
  elseif event.status == "ended" then
    local e = event.error -- an operation has told why already
    self:_line("ended", event.host, "the preview of this host ends here"
      .. (e.op and "" or ": " .. e.message), not e.op and e or nil)
    if e.hint and not e.op then
      self:_diff("hint: " .. e.hint)
    end
  elseif event.status == "failed" and not event.error.op then
    self:_line("failed", event.host, event.error.message, event.error)
  end
end

function shown.print(self, event)
  self.write(term.clean(event.text) .. "\n")
end

function shown.warning(self, event)
  self:_line("warning", event.host, event.message, event)
end

function shown.retry(self, event)
  self:_line("retry", event.host, event.message)
end

--- Show an event.
-- @param event table
function Lines:event(event)
  if event.event ~= "play" or event.status ~= "skipped" then
    self:_tell_skipped()
  end
  if shown[event.event] then
    shown[event.event](self, event)
  end
end

--- Show what a command prints, whole lines of it, with -vv.
function Lines:output(host, kind, text)
  if self.verbose < 2 then
    return
  end
  local key = host .. kind
  local whole
  whole, self.partial[key] = term.lines((self.partial[key] or "") .. text)
  for _, line in ipairs(whole) do
    self.write(("%s %s\n"):format(paint("cyan", host .. " |"), term.clean(line)))
  end
end

--- A step is over: show a last line that did not end.
function Lines:output_ended(host, kind)
  if (self.partial[host .. kind] or "") ~= "" then
    self:output(host, kind, "\n")
  end
end

local function plural(n, word)
  return ("%d %s%s"):format(n, word, n == 1 and "" or "s")
end

--- The last line: what was, or would be, done.
-- @param summary table
-- @return string
function M.total(summary)
  local steps, counts = summary.steps, summary.counts
  local parts = { summary.dry_run and plural(steps.changed, "change") .. " to make"
    or plural(steps.changed, "change") .. " made", steps.same .. " as asked" }
  if (steps.perhaps or 0) > 0 then
    table.insert(parts, 2, steps.perhaps .. " that may be needed")
  end
  if summary.interrupted then
    table.insert(parts, 1, "interrupted")
  end
  if #summary.cancelled > 0 then
    parts[#parts + 1] = "stopped in the middle: " .. table.concat(summary.cancelled, " ")
  end
  for _, word in ipairs { "failed", "unreachable", "ended" } do
    if counts[word] > 0 then
      parts[#parts + 1] = word == "ended" and plural(counts[word], "preview") .. " ended early"
        or ("%s %s"):format(plural(counts[word], "host"), word)
    end
  end
  return ("%s, in %.1f s"):format(table.concat(parts, ", "), summary.seconds)
end

-- What a dry run took for granted.
local function assumption(summary)
  local n = summary.dry_run and summary.steps.unstated or 0
  return n > 0 and ("%s %s not say what %s; what comes after is foretold as if %s nothing else\n")
    :format(plural(n, "command"), n == 1 and "does" or "do", n == 1 and "it changes"
      or "they change", n == 1 and "it changed" or "they changed") or ""
end

-- A run that is over at once needs nobody to say what it waited for.
local LONG = 10

-- What is not worth a line: it is part of the total all the same.
local SHORT = 0.1

--- The critical path as lines; none for a short run.
-- @param summary table
-- @return string
function M.path(summary)
  if summary.seconds < LONG or #(summary.path or {}) == 0 then
    return ""
  end
  local rows, width, total = {}, 0, 0
  for _, entry in ipairs(summary.path) do
    total, width = total + entry.seconds, math.max(width, #entry.play)
  end
  for _, entry in ipairs(summary.path) do
    local step = entry.step and ("  %s (%.1f s)"):format(term.cut(term.clean(entry.step)),
      entry.step_seconds) or ""
    rows[#rows + 1] = entry.seconds >= SHORT and ("  %6.1f s  %-" .. width .. "s  %s%s\n"):format(
      entry.seconds, entry.play, entry.host, step) or nil
  end
  return ("\ncritical path, %.1f s\n%s"):format(total, table.concat(rows))
end

--- Show the failures, each once, and the total.
-- @param summary table
function Lines:finish(summary)
  self:_tell_skipped()
  for _, failure in ipairs(summary.failures) do
    self.write(("\n%s %s\n%s\n"):format(paint("red bold", failure.status:upper()),
      paint("bold", table.concat(failure.hosts, " ")), term.clean(failure.text)))
    if failure.traceback then
      self.write(self.verbose > 0 and term.clean(failure.traceback) .. "\n"
        or "  hint: -v shows where in the program\n")
    end
  end
  if not self.quiet or #summary.failures > 0 or summary.interrupted then
    self.write(M.path(summary) .. "\n" .. assumption(summary) .. M.total(summary) .. "\n")
  end
end

return M
