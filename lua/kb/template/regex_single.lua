-- The parts of regular expressions that match one character.
local M = {}

local function decode(subject, at)
  local byte = subject:byte(at)
  if not byte then return nil end
  if byte < 128 then return byte, at + 1 end
  local after = utf8.len(subject, at, at) and utf8.offset(subject, 2, at)
  if not after then return byte, at + 1 end
  return utf8.codepoint(subject, at), after
end

local function other_case(point)
  if point >= 65 and point <= 90 then return point + 32 end
  if point >= 97 and point <= 122 then return point - 32 end
  return point
end

local function in_set(set, point)
  for _, range in ipairs(set.ranges) do
    if point >= range[1] and point <= range[2] then return true end
  end
  for _, class in ipairs(set.classes) do
    if class(point) then return true end
  end
  return false
end

local function accepts(set, point)
  local found = in_set(set, point)
    or set.ignorecase and in_set(set, other_case(point)) or false
  return found ~= (set.negated or false)
end

--- Make functions from a place to the place after the character, or to nil.
M.makers = {}
local singles = M.makers

function singles.char(node, state)
  local text = node.text
  if node.ignorecase and text:find("^%a$") then
    local lower = text:lower()
    return function(at)
      if state.subject:sub(at, at):lower() == lower then return at + 1 end
    end
  end
  local length = #text
  return function(at)
    if state.subject:sub(at, at + length - 1) == text then return at + length end
  end
end

function singles.any(node, state)
  return function(at)
    local point, after = decode(state.subject, at)
    if point and (point ~= 10 or node.dotall) then return after end
  end
end

function singles.set(node, state)
  local known = {}
  for point = 0, 127 do known[point] = accepts(node, point) end
  return function(at)
    local point, after = decode(state.subject, at)
    if not point then return nil end
    local accepted = known[point]
    if accepted == nil then accepted = accepts(node, point) end
    if accepted then return after end
  end
end

return M
