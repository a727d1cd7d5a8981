--- The view on a terminal: lines scroll above a block that shows what each host does now.

local lines = require "kb.report.lines"
local sys = require "kb.core.sys"
local task = require "kb.core.task"
local term = require "kb.term"

local Live = { __name = "kb.report.live" }
Live.__index = Live

local M = {}

local SPINNER = { "⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏" }
local REDRAW = 0.1 -- seconds

--- A view for a terminal on standard output. Must be made in the task that outlives the run: it
-- redraws from a background task of it.
-- @param options table: as for kb.report.lines
-- @return view
function M.new(options)
  local view = setmetatable({ hosts = {}, order = {}, drawn = 0, frame = 0, buffer = {} }, Live)
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

function Live:_busy_hosts()
  local busy = {}
  for _, name in ipairs(self.order) do
    if self.hosts[name] then
      busy[#busy + 1] = name
    end
  end
  return busy
end

local function cut(text, width)
  if utf8.len(text) and utf8.len(text) > width then
    return text:sub(1, utf8.offset(text, width) - 1) .. "…"
  end
  return text
end

function Live:_host_line(name, width)
  local h = self.hosts[name]
  local spin = SPINNER[self.frame % #SPINNER + 1]
  local text = ("%s %s  %s"):format(spin, name, h.title)
  local time = ("  %.1f s"):format(task.now() - h.since)
  local rest = h.last and h.last ~= "" and "  " .. h.last or ""
  return cut(text .. time .. rest, width - 1)
end

-- Wipe the block, print what has come since, draw the block anew: one write, so nothing flickers.
function Live:_draw()
  local width, rows = sys.terminal_size(1)
  width, rows = width or 80, rows or 24
  local out = {}
  if self.drawn > 0 then
    out[#out + 1] = ("\27[%dA\27[J"):format(self.drawn)
  end
  out[#out + 1] = table.concat(self.buffer)
  self.buffer = {}
  local busy = self:_busy_hosts()
  local room = math.max(1, rows - 3)
  for i = 1, math.min(#busy, room) do
    out[#out + 1] = term.paint("faint", self:_host_line(busy[i], width), 1) .. "\n"
  end
  self.drawn = math.min(#busy, room)
  if #busy > room then
    out[#out + 1] = ("  … and %d more hosts\n"):format(#busy - room)
    self.drawn = self.drawn + 1
  end
  io.stdout:write(table.concat(out))
  io.stdout:flush()
end

--- Show an event.
-- @param event table
function Live:event(event)
  self.lines:event(event)
  local name = event.host
  if event.event == "step" and event.status == "running" then
    if self.hosts[name] == nil then
      self.order[#self.order + 1] = name
    end
    self.hosts[name] = { title = event.title, since = task.now() }
  elseif name and (event.event == "step" or event.event == "host") then
    self.hosts[name] = self.hosts[name] and false
  end
end

--- Show the last line that a host's command printed beside its step.
function Live:output(host, kind, text)
  local h = self.hosts[host]
  local last = text:match("([^\r\n]*)[\r\n]*$")
  if h and last ~= "" then
    h.last = term.clean(last)
  end
  self.lines:output(host, kind, text)
end

--- A step is over: show a last line that did not end.
function Live:output_ended(host, kind)
  self.lines:output_ended(host, kind)
end

--- Wipe the block and show how it ended.
function Live:finish(summary)
  self.hosts, self.order = {}, {}
  self:_draw()
  self.lines:finish(summary)
  self:_draw()
end

return M
