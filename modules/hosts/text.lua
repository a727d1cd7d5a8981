--- The text of /etc/hosts.

local kb = require "kb"

local M = {}

local function check(args)
  local address = args.address
  local v4 = { address:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$") }
  local good = address:find(":", 1, true) and address:find("^[%x:.]+$") or #v4 == 4
  for _, part in ipairs(v4) do
    good = good and tonumber(part) < 256
  end
  if not good then
    kb.refuse(("%q is not an address"):format(address))
  end
  for _, name in ipairs(args.names) do
    if not tostring(name):find("^[%w_][%w_.-]*$") then
      kb.refuse(("%q cannot be the name of a host"):format(name))
    end
  end
  if args.state == "present" and #args.names == 0 then
    kb.refuse(("hosts.entry needs the names of %s"):format(address))
  end
end

local function family(address)
  return address:find(":", 1, true) and 6 or 4
end

-- A line's address, names and comment; nil for one that has no address.
local function parse(line)
  local fields, comment = line:match("^([^#]*)(.*)$")
  local address, rest = fields:match("^%s*(%S+)%s+(.-)%s*$")
  if not address then
    return nil
  end
  local names = {}
  for name in rest:gmatch("%S+") do
    names[#names + 1] = name
  end
  return { address = address, names = names, comment = comment }
end

local function format(entry)
  return ("%s %s%s"):format(entry.address, table.concat(entry.names, " "),
    entry.comment ~= "" and " " .. entry.comment or "")
end

-- Take names from an entry; whether any was there.
local function take(entry, unwanted)
  local kept = {}
  for _, name in ipairs(entry.names) do
    kept[#kept + 1] = not unwanted[name] and name or nil
  end
  local changed = #kept < #entry.names
  entry.names = kept
  return changed
end

-- Give an entry the names that it lacks; whether any was missing.
local function give(entry, names)
  local has, changed = {}, false
  for _, name in ipairs(entry.names) do
    has[name] = true
  end
  for _, name in ipairs(names) do
    if not has[name] then
      table.insert(entry.names, name)
      has[name], changed = true, true
    end
  end
  return changed
end

--- The text with the entry as args say; see hosts.entry.
-- @param text string
-- @param args table
-- @return string
function M.edit(text, args)
  check(args)
  local named, lines, placed = {}, {}, args.state == "absent"
  for _, name in ipairs(args.names) do
    named[name] = true
  end
  local whole = (text == "" or text:find("\n$")) and text or text .. "\n"
  for line in whole:gmatch("([^\n]*)\n") do
    local entry, changed = parse(line), false
    if entry and entry.address == args.address and args.state == "absent" and #args.names == 0 then
      entry.names, changed = {}, true
    elseif entry and entry.address == args.address and not placed then
      placed, changed = true, give(entry, args.names)
    elseif entry and (args.state == "present" and family(entry.address) == family(args.address)
      or entry.address == args.address) then
      changed = take(entry, named)
    end
    if not changed then
      lines[#lines + 1] = line
    elseif #entry.names > 0 then
      lines[#lines + 1] = format(entry)
    end
  end
  if not placed then
    lines[#lines + 1] = format { address = args.address, names = args.names, comment = "" }
  end
  local new = table.concat(lines, "\n") .. "\n"
  return new == whole and text or new
end

return M
