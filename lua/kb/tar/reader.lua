--- Read tar archives entry by entry: ustar with GNU's and pax' extensions. The contents of entries
-- pass through in pieces and are never held.
local M = {}

local BLOCK = 512
local ZEROS = ("\0"):rep(BLOCK)
local LONGEST = 1 << 20 -- of a name or a set of extended fields: more is an attack

local kinds = { ["0"] = "file", ["\0"] = "file", ["7"] = "file", ["1"] = "hard link",
  ["2"] = "link", ["5"] = "directory" }

local function text_field(header, from, to)
  return header:sub(from, to):match("^[^\0]*")
end

-- An octal number, or GNU's base-256 for what does not fit.
local function number_field(header, from, to)
  local field = header:sub(from, to)
  if field:byte() == 0x80 then
    return string.unpack(">i8", field:sub(-8))
  end
  local digits = field:match("^[ \0]*([0-7]*)[ \0]*$")
  return digits and (digits == "" and 0 or math.tointeger(tonumber(digits, 8)))
end

-- The sum of the header's bytes, those of the sum itself counted as spaces.
local function checksum(header)
  local sum = 8 * 32
  for from = 1, BLOCK, 64 do
    for _, byte in ipairs({ header:byte(from, from + 63) }) do
      sum = sum + byte
    end
  end
  for _, byte in ipairs({ header:byte(149, 156) }) do
    sum = sum - byte
  end
  return sum
end

local function parse(header)
  local size = number_field(header, 125, 136)
  if number_field(header, 149, 156) ~= checksum(header) then
    return nil, "the header's checksum is wrong"
  elseif not size or size < 0 then
    return nil, "the header has no size"
  end
  local name = text_field(header, 1, 100)
  local prefix = header:sub(258, 263) == "ustar\0" and text_field(header, 346, 500) or ""
  return { name = prefix ~= "" and prefix .. "/" .. name or name, size = size,
    type = header:sub(157, 157), target = text_field(header, 158, 257) }
end

-- "27 path=a/b\n" and so on: each record begins with its own length.
local function extended_fields(text)
  local fields, at = {}, 1
  while at <= #text do
    local length = text:match("^(%d+) ", at)
    local size = length and math.tointeger(tonumber(length))
    local finish = size and size <= #text and at + size - 1
    local key, value = text:sub(at, finish or 0):match("^%d+ ([^=]+)=(.*)\n$")
    if not key then
      return nil, "its extended header is broken"
    end
    fields[key], at = value, finish + 1
  end
  return fields
end

local Reader = {}
Reader.__index = Reader

--- Read a tar archive.
-- @param source table: `read(self, n)` gives n bytes, fewer only at the end, or nil, message, code;
--   `skip(self, n)` passes over n bytes and returns how many there were
-- @return reader
function M.new(source)
  return setmetatable({ source = source, left = 0, padding = 0, at = 0 }, Reader)
end

function Reader:_truncated()
  return nil, ("it is truncated: it ends at byte %d, in the middle"):format(self.at), "EINVAL"
end

-- Exactly n bytes.
function Reader:_read(n)
  local data, message, code = self.source:read(n)
  if not data then
    return nil, message, code
  end
  self.at = self.at + #data
  if #data < n then
    return self:_truncated()
  end
  return data
end

function Reader:_skip(n)
  local skipped, message, code = self.source:skip(n)
  if not skipped then
    return nil, message, code
  end
  self.at = self.at + skipped
  if skipped < n then
    return self:_truncated()
  end
  return true
end

--- The next piece of the current entry's content.
-- @param max integer: bytes at most (256 KiB)
-- @return string; nil at the content's end; or nil, message, code
function Reader:content(max)
  if self.left == 0 then
    return nil
  end
  local data, message, code = self:_read(math.min(self.left, max or 1 << 18))
  if not data then
    return nil, message, code
  end
  self.left = self.left - #data
  return data
end

-- The content of a header that speaks of the next one.
function Reader:_whole(entry)
  if entry.size > LONGEST then
    return nil, "a header is longer than any name", "EINVAL"
  end
  local data, message, code = self:_read(entry.size)
  if data then
    self.left, self.padding = 0, -entry.size % BLOCK
  end
  return data, message, code
end

-- Take what a header of the types L, K, x and g says of the entry that follows.
function Reader:_extend(entry, extra)
  local data, message, code = self:_whole(entry)
  if not data then
    return nil, message, code
  end
  if entry.type == "L" then
    extra.path = data:match("^[^\0]*")
  elseif entry.type == "K" then
    extra.linkpath = data:match("^[^\0]*")
  elseif entry.type == "x" then
    local fields
    fields, message = extended_fields(data)
    if not fields then
      return nil, message, "EINVAL"
    end
    for key, value in pairs(fields) do
      extra[key] = value
    end
  end
  return true
end

function Reader:_header()
  local ok, message, code = self:_skip(self.left + self.padding)
  if not ok then
    return nil, message, code
  end
  self.left, self.padding = 0, 0
  local header
  header, message, code = self:_read(BLOCK)
  if not header then
    return nil, message, code
  end
  if header == ZEROS then
    return nil
  end
  local at = self.at - BLOCK
  local entry
  entry, message = parse(header)
  if not entry then
    return nil, ("at byte %d: %s"):format(at, message), "EINVAL"
  end
  self.left, self.padding = entry.size, -entry.size % BLOCK
  return entry
end

local spoken_of = { L = true, K = true, x = true, g = true }

--- Go to the next entry, past what is left of the current one.
-- @return entry: name, size, kind ("file", "directory", "link", "hard link", "other"), target (of
--   links), offset (of its content in the archive); nil at the end; or nil, message, code
function Reader:next()
  local extra = {}
  while true do
    local entry, message, code = self:_header()
    if not entry then
      return nil, message, code
    end
    if not spoken_of[entry.type] then
      return self:_finish(entry, extra)
    end
    local ok
    ok, message, code = self:_extend(entry, extra)
    if not ok then
      return nil, message, code
    end
  end
end

function Reader:_finish(entry, extra)
  if extra.size then
    entry.size = math.tointeger(tonumber(extra.size)) or -1
    if entry.size < 0 then
      return nil, "its extended header has no good size", "EINVAL"
    end
    self.left, self.padding = entry.size, -entry.size % BLOCK
  end
  entry.kind = kinds[entry.type] or "other"
  if entry.kind ~= "file" then
    entry.size, self.left, self.padding = 0, 0, 0
  end
  entry.name = extra.path or entry.name
  local links = entry.kind == "link" or entry.kind == "hard link"
  entry.target = links and (extra.linkpath or entry.target) or nil
  entry.offset = self.at
  return entry
end

return M
