--- Tell what a shell says of itself from what its commands print.
-- A marker begins with a prefix that no command can know and ends with its line.
local M = {}

local Scan = {}
Scan.__index = Scan

--- A scanner for a stream that comes in pieces.
-- @param prefix string: what markers begin with
-- @return scan
function M.new(prefix)
  return setmetatable({ prefix = prefix, held = "" }, Scan)
end

-- Where a marker that the text does not show whole may begin: its length + 1 if none does.
local function unfinished(text, prefix)
  local from = math.max(1, #text - #prefix + 2)
  while true do
    local at = text:find(prefix:sub(1, 1), from, true)
    if not at then
      return #text + 1
    elseif prefix:sub(1, #text - at + 1) == text:sub(at) then
      return at
    end
    from = at + 1
  end
end

--- Take the next piece. What may be the beginning of a marker is held back until the next one.
-- @param chunk string
-- @param on_data function(text): called with what commands printed, never with nothing
-- @param on_mark function(text): called with each marker in its place between that, without prefix
-- and line break
function Scan:feed(chunk, on_data, on_mark)
  local text, prefix = self.held .. chunk, self.prefix
  local from = 1
  while true do
    local at, last = text:find(prefix, from, true)
    local stop = at and text:find("\n", last, true)
    local before = at or unfinished(text, prefix)
    if before > from then
      on_data(text:sub(from, before - 1))
    end
    if not stop then
      self.held = text:sub(before)
      return
    end
    on_mark(text:sub(last + 1, stop - 1))
    from = stop + 1
  end
end

return M
