--- How far a transfer is: a bar, the bytes, their rate and the time that is left.

local task = require "kb.core.task"

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

local UNITS = { "B", "kB", "MB", "GB", "TB" }

--- A number of bytes for people: "512 B", "1.5 MB".
-- @param bytes number
-- @return string
function M.bytes(bytes)
  local unit = 1
  while bytes >= 999.5 and UNITS[unit + 1] do
    bytes, unit = bytes / 1000, unit + 1
  end
  return (unit > 1 and bytes < 9.95 and "%.1f %s" or "%.0f %s"):format(bytes, UNITS[unit])
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
  local text = ("▕%s▏%3.0f%% of %s"):format(bar(share), share * 100, M.bytes(self.total))
  local seconds = self.now() - self.started
  local rate = (self.done - self.first) / math.max(seconds, LEAST)
  if seconds < LEAST or rate <= 0 then
    return text
  end
  return ("%s  %s/s  %s"):format(text, M.bytes(rate), left((self.total - self.done) / rate))
end

return M
