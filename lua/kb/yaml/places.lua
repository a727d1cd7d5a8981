-- Where values came from and how they were written. Kept beside the values in
-- tables that forget with them, so that maps and lists stay plain data.
local M = {}

local weak = { __mode = "k" }
local places = setmetatable({}, weak) -- collection -> { file, [key] = place }
local texts = setmetatable({}, weak) -- collection -> { [key] = { value, text } }
local COLUMNS = 1 << 20

local function pack(line, column) return line * COLUMNS + math.min(column, COLUMNS - 1) end

--- Note where a collection begins.
function M.begin(collection, file, line, column)
  places[collection] = { file = file, here = pack(line, column), keys = {} }
end

--- Note where an entry is written: a map's key, a list's item.
function M.note(collection, key, line, column)
  places[collection].keys[key] = pack(line, column)
end

--- Note the text a plain scalar was written in.
function M.write_down(collection, key, value, text)
  local known = texts[collection]
  if not known then
    known = {}
    texts[collection] = known
  end
  known[key] = { value, text }
end

--- Take an entry's place and text over from another collection (merge keys).
function M.inherit(collection, key, from)
  local source = places[from]
  local at = source and source.keys[key]
  if at then places[collection].keys[key] = at end
  local written = texts[from] and texts[from][key]
  if written then M.write_down(collection, key, written[1], written[2]) end
end

--- Where an entry is written.
-- @param collection table: as it was loaded
-- @param key any: nil asks for the collection itself
-- @return file, line, column; nothing when it is not known
function M.position(collection, key)
  local known = places[collection]
  if not known then return nil end
  local at = known.here
  if key ~= nil then at = known.keys[key] end
  if not at then return nil end
  return known.file, at // COLUMNS, at % COLUMNS
end

--- The text a value was written in, when the value is still there.
-- @return string or nil
function M.original(collection, key)
  local written = texts[collection] and texts[collection][key]
  local value = collection[key]
  if written and rawequal(written[1], value) and math.type(written[1]) == math.type(value) then
    return written[2]
  end
end

return M
