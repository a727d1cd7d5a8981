-- Wrapping of text into lines, as Python's textwrap does it.
local text = require "kb.template.text"

local M = {}

-- Cut into words, runs of space, and parts of words after hyphens between letters.
local function chunks_of(line, hyphens)
  local chunks = {}
  for space, word in line:gmatch("(%s*)(%S*)") do
    if space ~= "" then chunks[#chunks + 1] = (" "):rep(#space) end
    while hyphens and word ~= "" do
      local part, rest = word:match("^([%w_\128-\255]*[%a\128-\255]+%-+)([%a\128-\255].*)$")
      if not part then break end
      -- The pattern is greedy; the first hyphen is the one to cut at.
      local first = word:match("^[%w_\128-\255]*[%a\128-\255]%-+()[%a\128-\255]")
      if first then part, rest = word:sub(1, first - 1), word:sub(first) end
      chunks[#chunks + 1] = part
      word = rest
    end
    if word ~= "" then chunks[#chunks + 1] = word end
  end
  return chunks
end

local function take_long(chunks, place, line, length, width, break_long)
  local room = width - length
  if break_long then
    local chunk = chunks[place]
    if width < 1 then room = 1 end
    line[#line + 1] = text.sub(chunk, 1, room)
    chunks[place] = text.sub(chunk, room + 1, text.length(chunk))
    return place
  elseif #line == 0 then
    line[#line + 1] = chunks[place]
    return place + 1
  end
  return place
end

local function is_space(chunk)
  return chunk ~= nil and chunk:find("^%s+$") ~= nil
end

--- Wrap one line.
-- @return list of strings
function M.wrap(source, width, break_long, hyphens)
  local chunks = chunks_of(source:gsub("[\t\v\f]", " "), hyphens)
  local lines, place = {}, 1
  while chunks[place] do
    if is_space(chunks[place]) and #lines > 0 then place = place + 1 end
    local line, length = {}, 0
    while chunks[place] and length + text.length(chunks[place]) <= width do
      line[#line + 1] = chunks[place]
      length = length + text.length(chunks[place])
      place = place + 1
    end
    if chunks[place] and text.length(chunks[place]) > width then
      place = take_long(chunks, place, line, length, width, break_long)
    end
    if is_space(line[#line]) then line[#line] = nil end
    if #line > 0 then lines[#lines + 1] = table.concat(line) end
  end
  return lines
end

return M
