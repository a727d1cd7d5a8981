--- What is known of the terminal: colour, width, and text that is safe on it.
local sys = require "kb.core.sys"

local M = {}

local codes = {
  bold = 1, faint = 2, red = 31, green = 32, yellow = 33, blue = 34, magenta = 35, cyan = 36,
}
local forbidden = false -- by --no-color

--- Never use colour from now on, whatever the terminal can do.
function M.no_color()
  forbidden = true
end

--- Whether text on this descriptor may be coloured: it is a terminal, neither
-- dumb nor told by NO_COLOR (no-color.org) to stay plain.
-- @param fd integer: 1 or 2 (2)
-- @return boolean
function M.color(fd)
  if forbidden or (sys.getenv("NO_COLOR") or "") ~= "" or sys.getenv("TERM") == "dumb" then
    return false
  end
  return sys.isatty(fd or 2)
end

--- Give text a style where it may have one.
-- @param style string: bold, faint, red, green, yellow, blue, magenta or cyan;
--   several separated by a space
-- @param text string
-- @param fd integer: the descriptor that it is meant for (2)
-- @return string
function M.paint(style, text, fd)
  if text == "" or not M.color(fd) then
    return text
  end
  local list = {}
  for name in style:gmatch("%S+") do
    list[#list + 1] = codes[name] or error("no style is called " .. name, 2)
  end
  return ("\27[%sm%s\27[0m"):format(table.concat(list, ";"), text)
end

--- How many columns there are: those of the terminal, or COLUMNS, or 80.
-- @param fd integer: 1 or 2 (2)
-- @return integer
function M.width(fd)
  local columns = sys.terminal_size(fd or 2) or tonumber(sys.getenv("COLUMNS") or "")
  return columns and columns >= 20 and math.floor(columns) or 80
end

--- The beginning of a text.
-- @param text string
-- @param width integer: how many characters at most (60); the last says that something is missing
-- @return string
function M.cut(text, width)
  local length = utf8.len(text)
  if length and length > (width or 60) then
    return text:sub(1, utf8.offset(text, width or 60) - 1) .. "…"
  end
  return text
end

--- Make text that came from a host safe to print: control bytes, which could
-- move the cursor or fake our own lines, are shown as `\xNN`. Newlines and tabs
-- stay; a carriage return before a newline goes. Bytes that are not UTF-8 are
-- shown as `\xNN` too.
-- @param text string
-- @return string
function M.clean(text)
  text = text:gsub("\r\n", "\n"):gsub("[%z\1-\8\11-\31\127]", function(c)
    return ("\\x%02x"):format(c:byte())
  end)
  if utf8.len(text) then
    -- The C1 controls, U+0080 to U+009F, are escape sequences to some terminals.
    return (text:gsub("\xC2([\x80-\x9F])", function(c)
      return ("\\u{%x}"):format(c:byte())
    end))
  end
  return (text:gsub("[\x80-\xFF]", function(c)
    return ("\\x%02x"):format(c:byte())
  end))
end

local UNITS = { "B", "kB", "MB", "GB", "TB" } -- in powers of ten, as registries and docker count

--- A number of bytes for people: "512 B", "1.5 MB".
-- @param bytes number
-- @return string
function M.bytes(bytes)
  local unit = 1
  while bytes >= 999.5 and UNITS[unit + 1] do
    bytes, unit = bytes / 1000, unit + 1
  end
  return (unit > 1 and bytes < 9.95 and "%.1f %s" or "%.0f %s"):format(bytes, UNITS[unit])
end

-- What has no end by then is shown without: nobody should have to keep it, or to wait for it.
local LONGEST = 65536

--- The whole lines at the beginning of a text.
-- More than 64 KiB that have no end yet count as a line; what comes of it later is another.
-- A pattern would look for the end of a long line from each of its letters.
-- @param text string
-- @return list of strings, without their newlines; and the rest, which has none
function M.lines(text)
  local list, from = {}, 1
  while true do
    local at = text:find("\n", from, true)
    if not at then
      break
    end
    list[#list + 1] = text:sub(from, at - 1)
    from = at + 1
  end
  local rest = text:sub(from)
  if #rest > LONGEST then
    list[#list + 1], rest = rest, ""
  end
  return list, rest
end

--- Break text into lines of at most so many columns, at spaces. Lines that
-- begin with a space are kept as they are.
-- @param text string
-- @param width integer
-- @return list of strings
function M.wrap(text, width)
  local lines, current = {}, nil
  local function finish()
    lines[#lines + 1], current = current, nil
  end
  for line in (text .. "\n"):gmatch("(.-)\n") do
    if line == "" or line:find("^%s") then
      finish()
      lines[#lines + 1] = line
    else
      for word in line:gmatch("%S+") do
        if current and utf8.len(current .. word, 1, -1, true) + 1 > width then
          finish()
        end
        current = current and current .. " " .. word or word
      end
    end
  end
  finish()
  return lines
end

return M
