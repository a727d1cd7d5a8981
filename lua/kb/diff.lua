--- Unified differences between two texts.

local M = {}

-- Beyond this many lines on both sides together the middle is shown as replaced whole.
local LIMIT = 4000
local CONTEXT = 3

local function split(text)
  local lines = {}
  for line in (text:find("[^\n]$") and text .. "\n" or text):gmatch("([^\n]*)\n") do
    lines[#lines + 1] = line
  end
  return lines
end

-- The greedy algorithm of Myers (1986): the shortest edit script, found by following the furthest
-- reaching path on each diagonal. trace[d] are the end points after d edits.
local function trace_of(a, b)
  local reach, trace = { [1] = 0 }, {}
  for d = 0, #a + #b do
    trace[d] = table.move(reach, -d - 1, d + 1, -d - 1, {})
    for k = -d, d, 2 do
      local down = k == -d or k ~= d and reach[k - 1] < reach[k + 1]
      local x = down and reach[k + 1] or reach[k - 1] + 1
      while x < #a and x - k < #b and a[x + 1] == b[x - k + 1] do
        x = x + 1
      end
      reach[k] = x
      if x >= #a and x - k >= #b then
        return trace, d
      end
    end
  end
end

-- The edits from a to b, the last first: { mark, line }.
local function backtrack(a, b, trace, edits)
  local list, x, y = {}, #a, #b
  for d = edits, 0, -1 do
    local reach, k = trace[d], x - y
    local down = k == -d or k ~= d and reach[k - 1] < reach[k + 1]
    local before_k = down and k + 1 or k - 1
    local before_x = d == 0 and 0 or reach[before_k]
    local before_y = d == 0 and 0 or before_x - before_k
    while x > before_x and y > before_y do
      list[#list + 1] = { " ", a[x] }
      x, y = x - 1, y - 1
    end
    if d > 0 then
      list[#list + 1] = down and { "+", b[y] } or { "-", a[x] }
      x, y = before_x, before_y
    end
  end
  return list
end

local function edits_of(a, b)
  local list = {}
  if #a + #b > LIMIT then
    for i = #b, 1, -1 do
      list[#list + 1] = { "+", b[i] }
    end
    for i = #a, 1, -1 do
      list[#list + 1] = { "-", a[i] }
    end
    return list
  end
  return backtrack(a, b, trace_of(a, b))
end

-- Which edits are near enough to a change to be shown.
local function near(list)
  local keep = {}
  for i, edit in ipairs(list) do
    if edit[1] ~= " " then
      for j = math.max(1, i - CONTEXT), math.min(#list, i + CONTEXT) do
        keep[j] = true
      end
    end
  end
  return keep
end

-- A side without lines is said to begin at the line before it.
local function hunk_header(hunk)
  return ("@@ -%d,%d +%d,%d @@"):format(hunk.a + math.min(hunk.a_count, 1), hunk.a_count,
    hunk.b + math.min(hunk.b_count, 1), hunk.b_count)
end

--- The difference between two texts in unified form, without a file header.
-- @param before string
-- @param after string
-- @return string: empty when they are equal
function M.unified(before, after)
  local list = edits_of(split(before), split(after))
  local keep, out, hunk = near(list), {}, nil
  local a, b = 0, 0
  for i = #list, 1, -1 do
    local mark, line = list[i][1], list[i][2]
    if keep[i] then
      if not hunk then
        hunk = { at = #out + 1, a = a, b = b, a_count = 0, b_count = 0 }
        out[hunk.at] = ""
      end
      hunk.a_count = hunk.a_count + (mark ~= "+" and 1 or 0)
      hunk.b_count = hunk.b_count + (mark ~= "-" and 1 or 0)
      out[hunk.at] = hunk_header(hunk)
      out[#out + 1] = mark .. line
    else
      hunk = nil
    end
    a, b = a + (mark ~= "+" and 1 or 0), b + (mark ~= "-" and 1 or 0)
  end
  return table.concat(out, "\n")
end

return M
