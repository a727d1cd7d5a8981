-- JSON in the values of kb.data: maps keep their order, an empty list stays a
-- list, null is `data.null`, whole numbers stay integers.
local core = require "kb.core.json"
local data = require "kb.data"

local M = {}

-- Each byte that is not part of well-formed UTF-8 becomes U+FFFD.
local function repair(text)
  local parts, from = {}, 1
  while from <= #text do
    local _, bad = utf8.len(text, from)
    parts[#parts + 1] = text:sub(from, bad and bad - 1 or -1)
    if not bad then break end
    parts[#parts + 1] = "\u{FFFD}"
    from = bad + 1
  end
  return table.concat(parts)
end

-- jansson writes \u00E9, Python \u00e9; the rest of the text has no \u.
local function lower_escapes(text)
  return (text:gsub("\\(.)(%x?%x?%x?%x?)", function(letter, digits)
    if letter == "u" then return "\\u" .. digits:lower() end
  end))
end

--- Write a value as JSON.
-- Separated as Python does (`{"a": 1, "b": [2]}`); reals in the fewest digits
-- that bring them back.
-- @param value any: maps, lists, strings, numbers, booleans, null
-- @param options table or nil: `indent` (spaces per level: one entry per line),
--   `sort` (keys in byte order; else as the map has them), `ascii` (escape all
--   else), `compact` (no spaces), `lossy` (bytes that are not UTF-8 become
--   U+FFFD instead of an error), `other` (function: the text to write for a
--   value JSON has no form for, such as a secret), `max_depth` (1000)
-- @return string
-- @raise when the value holds what JSON cannot say (a function, infinity, text
--   that is not UTF-8, itself)
function M.encode(value, options)
  options = options or {}
  local text = core.encode(value, {
    kind = data.kind, pairs = data.pairs, other = options.other,
    text = options.lossy and repair or nil, indent = options.indent, sort = options.sort,
    ascii = options.ascii, compact = options.compact, max_depth = options.max_depth,
  })
  return options.ascii and lower_escapes(text) or text
end

local function empty_map() return data.map() end

--- Read JSON.
-- One value of any type; the same key twice in one map is an error, as are
-- whole numbers beyond 64 bits.
-- @param text string
-- @param options table or nil: `name` (what errors call the text: a file's
--   path), `max_depth` (1000), `max_bytes` (256 MiB)
-- @return the value; or nil, "name:line:column: message", "EINVAL"
function M.decode(text, options)
  options = options or {}
  local name = options.name or "JSON"
  if #text > (options.max_bytes or 256 << 20) then
    return nil, ("%s: larger than %d bytes"):format(name, options.max_bytes or 256 << 20), "EINVAL"
  end
  local ok, value, message, code, line, column = pcall(core.decode, text, {
    map = empty_map, list = data.list, null = data.null, max_depth = options.max_depth,
  })
  if not ok then return nil, name .. ": " .. tostring(value), "EINVAL" end
  if message then
    return nil, ("%s:%d:%d: %s"):format(name, line, column, message), code
  end
  return value
end

return M
