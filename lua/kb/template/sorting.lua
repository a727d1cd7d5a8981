-- A stable sort by Python's comparison, which also bears comparisons that fail.
local operators = require "kb.template.operators"

local M = {}

local function merge(items, keys, from, middle, to, before)
  local merged, merged_keys = {}, {}
  local left, right = from, middle + 1
  for place = 1, to - from + 1 do
    local take_right = left > middle
      or right <= to and before(keys[right], keys[left])
    local source = take_right and right or left
    merged[place], merged_keys[place] = items[source], keys[source]
    if take_right then right = right + 1 else left = left + 1 end
  end
  table.move(merged, 1, #merged, from, items)
  table.move(merged_keys, 1, #merged_keys, from, keys)
end

local function sort(items, keys, from, to, before)
  if from >= to then return end
  local middle = (from + to) // 2
  sort(items, keys, from, middle, before)
  sort(items, keys, middle + 1, to, before)
  merge(items, keys, from, middle, to, before)
end

--- Give a sorted copy of a sequence.
-- @param sequence table
-- @param key function or nil: what to compare instead of the item
-- @param reverse boolean or nil: greatest first; equal ones keep their order
function M.sorted(sequence, key, reverse)
  local items, keys = {}, {}
  for i = 1, #sequence do
    items[i] = sequence[i]
    if key then keys[i] = key(sequence[i]) else keys[i] = sequence[i] end
  end
  local before = operators.less
  if reverse then before = function(a, b) return operators.less(b, a) end end
  sort(items, keys, 1, #items, before)
  return items
end

return M
