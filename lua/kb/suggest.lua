--- "Did you mean …?": the nearest of some words.

local M = {}

-- The number of single-letter edits (a swap of neighbours is one) from a to b.
local function distance(a, b)
  local before, row = {}, {}
  for j = 0, #b do
    row[j] = j
  end
  for i = 1, #a do
    local two_before
    two_before, before, row = before, row, { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      row[j] = math.min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], two_before[j - 2] + 1)
      end
    end
  end
  return row[#b]
end

--- The candidate nearest to a misspelt word.
-- @param word string
-- @param candidates list of strings
-- @return string, or nil when none is near (more than a third of its letters differ)
function M.nearest(word, candidates)
  local best, least
  for _, candidate in ipairs(candidates) do
    local d = distance(word:lower(), candidate:lower())
    if d <= math.max(1, #word // 3) and (not least or d < least) then
      best, least = candidate, d
    end
  end
  return best
end

--- The words to append to an error about an unknown word.
-- @param word string
-- @param candidates list of strings
-- @return string: `; did you mean "…"?`, or "" when none is near
function M.hint(word, candidates)
  local best = M.nearest(word, candidates)
  return best and ('; did you mean "%s"?'):format(best) or ""
end

--- The same, for words of which there are few: when none is near, it tells them all.
-- @param word string
-- @param candidates list of strings, which is sorted
-- @param has string: what comes before them, such as "it has"
-- @return string
function M.choice(word, candidates, has)
  table.sort(candidates)
  local hint = M.hint(word, candidates)
  if hint ~= "" or #candidates == 0 then
    return hint
  end
  return ("; %s %s"):format(has, table.concat(candidates, ", "))
end

return M
