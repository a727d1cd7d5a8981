-- Names of hosts as inventories write them: ranges and ports.
local M = {}

local letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

local MOST = 100000 -- hosts of one pattern: beyond this it is a slip

--- Split a name and the port that may follow it: `w0:2222`, `[fe80::1]:22`.
-- A bare IPv6 address has no port.
-- @param text string
-- @return string, and an integer or nil
function M.split_port(text)
  local inner, port = text:match "^%[(.+)%]:(%d+)$"
  if inner then return inner, math.tointeger(tonumber(port)) end
  local bare = text:gsub("%[[^%]]*%]", function(range) return ("x"):rep(#range) end)
  local name
  name, port = bare:match "^([^:%[%]]*):(%d+)$"
  if name then return text:sub(1, #name), math.tointeger(tonumber(port)) end
  return text, nil
end

local function letter_sequence(first, last, step)
  local from, to = letters:find(first, 1, true), letters:find(last, 1, true)
  if not from or not to or #first ~= 1 or #last ~= 1 then return nil end
  if from > to then return nil, "ends before it begins" end
  local sequence = {}
  for i = from, to, step do sequence[#sequence + 1] = letters:sub(i, i) end
  return sequence
end

local function number_sequence(first, last, step)
  local padded = #first > 1 and first:sub(1, 1) == "0"
  if padded and #first ~= #last then
    return nil, "begins with a 0, so both of its ends must have the same number of digits"
  end
  local from, to = tonumber(first), tonumber(last)
  if from > to then return nil, "ends before it begins" end
  if (to - from) // step >= MOST then return nil, ("names more than %d hosts"):format(MOST) end
  local format = padded and "%0" .. #first .. "d" or "%d"
  local sequence = {}
  for i = from, to, step do sequence[#sequence + 1] = format:format(i) end
  return sequence
end

-- The values of "01:20:2" or "a:f".
local function sequence_of(range)
  local first, last, step = range:match "^(%w*):(%w+)$"
  if not first then first, last, step = range:match "^(%w*):(%w+):(%d+)$" end
  if not first then return nil, "is not of the form [first:last] or [first:last:step]" end
  step = tonumber(step or 1)
  if step < 1 then return nil, "has a step of 0" end
  first = first == "" and "0" or first
  if first:find "^%d+$" and last:find "^%d+$" then return number_sequence(first, last, step) end
  local sequence, problem = letter_sequence(first, last, step)
  return sequence, problem or "goes neither from a number to a number nor from a letter to a letter"
end

--- Expand the ranges of a name: `w[0:2]` are w0, w1, w2; `web[01:20:2].x`
-- keeps the zeros; several ranges multiply.
-- @param text string
-- @return list of strings; or nil and what is wrong
function M.expand(text)
  local head, range, tail = text:match "^(.-)%[(.-)%](.*)$"
  if not head then
    if text:find "[%[%]]" then return nil, ("a bracket of %q has no partner"):format(text) end
    return { text }
  end
  local sequence, problem = sequence_of(range)
  if not sequence then return nil, ("the range [%s] of %q %s"):format(range, text, problem) end
  local tails
  tails, problem = M.expand(tail)
  if not tails then return nil, problem end
  if #sequence * #tails > MOST then
    return nil, ("%q names more than %d hosts"):format(text, MOST)
  end
  local names = {}
  for _, middle in ipairs(sequence) do
    for _, rest in ipairs(tails) do names[#names + 1] = head .. middle .. rest end
  end
  return names
end

return M
