--- How far a transfer is: a bar, the bytes, their rate and the time that is left.

local task = require "kb.core.task"
local term = require "kb.term"

local Meter = { __name = "kb.report.meter" }
Meter.__index = Meter

local M = {}

local BAR = 12 -- columns
local EIGHTHS = { "▏", "▎", "▍", "▌", "▋", "▊", "▉" }
local LEAST = 0.5 -- seconds after which there is a rate to speak of

--- A meter of a transfer that begins now.
-- @param done integer: bytes that were there already
-- @param now function() -> seconds: for tests
-- @return meter
function M.new(done, now)
  now = now or task.now
  return setmetatable({ first = done, done = done, total = 0, now = now, started = now() }, Meter)
end

--- Note how far it is.
-- @param done integer: bytes
-- @param total integer: bytes
function Meter:update(done, total)
  self.done, self.total = done, total
end

local function bar(share)
  local eighths = math.floor(share * BAR * 8)
  local text = ("█"):rep(eighths // 8) .. (EIGHTHS[eighths % 8] or "")
  return text .. (" "):rep(BAR - utf8.len(text))
end

local function left(seconds)
  if seconds < 90 then
    return ("%d s left"):format(math.ceil(seconds))
  end
  return ("%d min left"):format(math.ceil(seconds / 60))
end

--- What the meter shows.
-- @return string
function Meter:text()
  local share = self.total > 0 and math.min(self.done / self.total, 1) or 0
  local text = ("▕%s▏%3.0f%% of %s"):format(bar(share), share * 100, term.bytes(self.total))
  local seconds = self.now() - self.started
  local rate = (self.done - self.first) / math.max(seconds, LEAST)
  if seconds < LEAST or rate <= 0 then
    return text
  end
  return ("%s  %s/s  %s"):format(text, term.bytes(rate), left((self.total - self.done) / rate))
end

return M
