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

--- Take the next piece.
-- @param chunk string
-- @return string: what commands printed; and the list of markers found, without prefix and line
-- break. What may be the beginning of a marker is held back until the next piece.
function Scan:feed(chunk)
  local text, prefix = self.held .. chunk, self.prefix
  local data, marks, from = {}, {}, 1
  while true do
    local at, last = text:find(prefix, from, true)
    local stop = at and text:find("\n", last, true)
    if not stop then
      at = at or unfinished(text, prefix)
      data[#data + 1] = text:sub(from, at - 1)
      self.held = text:sub(at)
      return table.concat(data), marks
    end
    data[#data + 1] = text:sub(from, at - 1)
    marks[#marks + 1] = text:sub(last + 1, stop - 1)
    from = stop + 1
  end
end

return M
