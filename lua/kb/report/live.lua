--- The view on a terminal: lines scroll above a block that shows what each host does now.
-- The block keeps a line for each host until its part of a play is over, in the order in which they
-- came, so that nothing jumps; the last line says how far the plays are.

local lines = require "kb.report.lines"
local meter = require "kb.report.meter"
local sys = require "kb.core.sys"
local task = require "kb.core.task"
local term = require "kb.term"

local Live = { __name = "kb.report.live" }
Live.__index = Live

local M = {}

local SPINNER = { "⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏" }
local REDRAW = 0.1 -- seconds
local WIDEST = 1000 -- bytes of a line that any terminal shows
local GAP = 2 -- columns between a step and what is said beside it

--- A view for a terminal on standard output. Must be made in the task that outlives the run: it
-- redraws from a background task of it.
-- @param options table: as for kb.report.lines; and write (function(text)), size (function() ->
-- columns, rows) for tests
-- @return view
function M.new(options)
  local view = setmetatable({ hosts = {}, order = {}, plays = {}, changed = 0, failed = 0,
    drawn = 0, frame = 0, buffer = {}, width = 0, started = task.now(),
    size = options.size or function()
      return sys.terminal_size(1)
    end, write = options.write or function(text)
      io.stdout:write(text)
      io.stdout:flush()
    end }, Live)
  options.write = function(text)
    view.buffer[#view.buffer + 1] = text
  end
  view.lines = lines.new(options)
  task.background(function()
    while task.sleep(REDRAW) do
      view.frame = view.frame + 1
      view:_draw()
    end
  end)
  return view
end

function Live:_host_line(name, width)
  local h = self.hosts[name]
  local text = ("%s %-" .. self.width .. "s"):format(SPINNER[self.frame % #SPINNER + 1], name)
  if not h.title then
    return term.cut(text, width - 1), nil
  end
  text = ("%s %6.1f s  %s"):format(text, task.now() - h.since, h.title)
  local rest = h.meter and h.meter:text() or h.last
  text = term.cut(text, width - 1)
  local room = width - 1 - (utf8.len(text) or #text)
  return text, rest and room > GAP and term.cut("  " .. rest, room) or nil
end

-- How far the plays that run are, and what has come of it so far.
function Live:_foot()
  local parts = {}
  for _, play in ipairs(self.plays) do
    parts[#parts + 1] = ("%s: %d of %d hosts done"):format(play.name, play.done, play.hosts)
  end
  return ("%s   %d changed%s   %.0f s"):format(table.concat(parts, ", "), self.changed,
    self.failed > 0 and (", %d failed"):format(self.failed) or "", task.now() - self.started)
end

function Live:_block(width, rows)
  local block, busy = {}, {}
  for _, name in ipairs(self.hidden and {} or self.order) do
    busy[#busy + 1] = self.hosts[name] and name or nil
  end
  local room = math.max(1, rows - 4)
  for i = 1, math.min(#busy, room) do
    local text, rest = self:_host_line(busy[i], width)
    block[i] = text .. (rest and term.paint("faint", rest, 1) or "")
  end
  if #busy > room then
    block[#block + 1] = ("  … and %d more hosts"):format(#busy - room)
  end
  if #self.plays > 0 and not self.hidden then
    block[#block + 1] = term.paint("faint", term.cut(self:_foot(), width - 1), 1)
  end
  return block
end

-- Write over the block what has come since, and the block anew below it: each line wipes what is
-- left of the one that was there, in a single write, so that nothing flickers.
function Live:_draw()
  local width, rows = self.size()
  width, rows = (width or 0) > 0 and width or 80, (rows or 0) > 0 and rows or 24
  local out = { self.drawn > 0 and ("\27[%dA\r"):format(self.drawn) or "" }
  local block = self:_block(width, rows)
  self.drawn = #block
  block[#block + 1] = ""
  out[#out + 1] = table.concat(self.buffer):gsub("\n", "\27[K\n")
  out[#out + 1] = table.concat(block, "\27[K\n") .. "\27[J"
  self.buffer = {}
  self.write(table.concat(out))
end

-- A place in the block, which the host keeps until it is settled.
function Live:_place(name)
  if self.hosts[name] == nil then
    self.order[#self.order + 1] = name
    self.width = math.max(self.width, #name)
  end
  self.hosts[name] = {}
end

local noted = {}

-- The block makes room for a question until it is answered.
function noted.ask(self, event)
  self.hidden = true
  self:_draw()
  self.hidden = event.answered == nil
end

function noted.answer(self)
  self.hidden = false
end

function noted.play(self, event)
  if event.status == "started" then
    table.insert(self.plays, { name = event.play, hosts = event.hosts, done = 0 })
    return
  end
  for i, play in ipairs(self.plays) do
    if play.name == event.play then
      table.remove(self.plays, i)
      break
    end
  end
end

function noted.start(self, event)
  self:_place(event.host)
end

function noted.host(self, event)
  self.hosts[event.host] = false
  self.failed = self.failed + (event.error and event.status ~= "ended" and 1 or 0)
  for _, play in ipairs(self.plays) do
    play.done = play.done + (play.name == event.play and 1 or 0)
  end
end

function noted.step(self, event)
  self.changed = self.changed + (event.status == "changed" and 1 or 0)
  if not self.hosts[event.host] then
    self:_place(event.host)
  end
  self.hosts[event.host] = event.status == "running"
    and { title = term.clean(event.title), since = task.now() } or {}
end

--- Show an event.
-- @param event table
function Live:event(event)
  self.lines:event(event)
  if noted[event.event] then
    noted[event.event](self, event)
  end
end

--- Show the last line that a host's command printed beside its step.
function Live:output(host, kind, text)
  local h = self.hosts[host]
  local last = text:sub(-WIDEST):match("([^\r\n]*)[\r\n]*$")
  if h and last ~= "" then
    h.last = term.clean(last)
  end
  self.lines:output(host, kind, text)
end

--- Show how far a transfer is beside its step.
-- @param host string
-- @param done integer: bytes
-- @param total integer: bytes
function Live:progress(host, done, total)
  local h = self.hosts[host]
  if h and h.title then
    h.meter = h.meter or meter.new(done)
    h.meter:update(done, total)
  end
end

--- A step is over: show a last line that did not end.
function Live:output_ended(host, kind)
  self.lines:output_ended(host, kind)
end

--- Wipe the block and show how it ended.
function Live:finish(summary)
  self.hosts, self.order, self.plays = {}, {}, {}
  self.lines:finish(summary)
  self:_draw()
end

return M
