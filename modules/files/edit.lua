--- Changes to texts, as functions from a text and arguments to the new text.

local kb = require "kb"

local M = {}

local function split(text)
  local lines = {}
  for line in (text:find("[^\n]$") and text .. "\n" or text):gmatch("([^\n]*)\n") do
    lines[#lines + 1] = line
  end
  return lines
end

local function join(lines)
  return #lines > 0 and table.concat(lines, "\n") .. "\n" or ""
end

local function last_match(lines, matches)
  for i = #lines, 1, -1 do
    if matches(lines[i]) then
      return i
    end
  end
end

local function finder(args)
  return function(line)
    if args.match then
      return line:find(args.match) ~= nil
    end
    return line == args.line
  end
end

--- The text with the line as args say; see files.line.
-- @param text string
-- @param args table
-- @return string
function M.line(text, args)
  if args.state == "absent" and not (args.line or args.match) then
    kb.refuse("files.line needs 'line' or 'match' to know what to remove")
  elseif args.state == "present" and not args.line then
    kb.refuse("files.line needs 'line': the line as it should be")
  end
  local lines, matches = split(text), finder(args)
  if args.state == "absent" then
    local kept = {}
    for _, line in ipairs(lines) do
      if not matches(line) then
        kept[#kept + 1] = line
      end
    end
    return #kept == #lines and text or join(kept)
  end
  -- a line that was put in the place of one that matched need not match itself
  local at = last_match(lines, matches) or last_match(lines, function(line)
    return line == args.line
  end)
  if at and lines[at] == args.line then
    return text
  end
  if at then
    lines[at] = args.line
  else
    local place = args.after and last_match(lines, function(line)
      return line:find(args.after) ~= nil
    end)
    table.insert(lines, (place or #lines) + 1, args.line)
  end
  return join(lines)
end

--- The text with the block as args say; see files.block.
-- @param text string
-- @param args table
-- @return string
function M.block(text, args)
  local first = ("%s BEGIN %s (kbrun)"):format(args.comment, args.name)
  local last = ("%s END %s (kbrun)"):format(args.comment, args.name)
  local out, inside, placed = {}, false, args.block == ""
  local function place()
    if not placed then
      out[#out + 1] = first
      table.move(split(args.block), 1, #split(args.block), #out + 1, out)
      out[#out + 1] = last
      placed = true
    end
  end
  for _, line in ipairs(split(text)) do
    if line == first then
      inside = true
      place()
    elseif line == last and inside then
      inside = false
    elseif not inside then
      out[#out + 1] = line
    end
  end
  if inside then
    kb.refuse(("%s has the line %q without the line %q"):format(args.path, first, last),
      "put the missing line back, or remove the first one")
  end
  place()
  local result = join(out)
  return result == text:gsub("[^\n]$", "%0\n") and text or result
end

return M
