--- The bytes of an archive from its beginning on, decompressed if it is gzip or zstd.
local sys = require "kb.core.sys"
local zlib = require "kb.core.zlib"
local zstd = require "kb.core.zstd"

local M = {}

local CHUNK = 1 << 16

local magic = { { "\x1f\x8b", "gzip", zlib.decompressor },
  { "\x28\xb5\x2f\xfd", "zstd", zstd.decompressor } }

--- How data is compressed, told by its first bytes.
-- @param head string: four bytes at least
-- @return string or nil: "gzip" or "zstd"; and the function that makes its decompressor
function M.compression(head)
  for _, known in ipairs(magic) do
    if head:sub(1, #known[1]) == known[1] then
      return known[2], known[3]
    end
  end
end

local Source = {}
Source.__index = Source

--- Open a file.
-- @param path string
-- @param as_it_is boolean: do not decompress it
-- @return source: compression (nil, "gzip" or "zstd"), size and mtime of the file; to be closed
--   (it is by `local source <close>`); or nil, message, code
function M.open(path, as_it_is)
  local stat, message, code = sys.stat(path)
  if not stat then
    return nil, message, code
  elseif stat.kind ~= "file" then -- to open a pipe would wait for who writes into it
    return nil, path .. " is not a file but a " .. stat.kind, "EINVAL"
  end
  local file
  file, message = io.open(path, "rb")
  if not file then
    return nil, message, "EACCES"
  end
  local self = setmetatable({ file = file, size = stat.size, mtime = stat.mtime, at = 0 }, Source)
  if not as_it_is then
    local make
    self.compression, make = M.compression(file:read(4) or "")
    file:seek("set", 0)
    self.decompressor = make and make()
  end
  return self
end

function Source:close()
  if self.file then
    self.file:close()
  end
  self.file = nil
end
Source.__close = Source.close

-- A piece of the decompressed bytes, empty at their end.
function Source:_piece(max)
  while true do
    local data, message, code = self.decompressor:take(max)
    if not data then
      return nil, message, code
    elseif data ~= "" then
      return data
    end
    local more = self.file:read(CHUNK)
    if not more then
      data, message, code = self.decompressor:finish()
      return data and "", message, code
    end
    self.decompressor:give(more)
  end
end

--- Read.
-- @param n integer
-- @return string of n bytes, fewer only at the end; or nil, message, code
function Source:read(n)
  local parts, missing = {}, n
  while missing > 0 do
    local data, message, code
    if self.decompressor then
      data, message, code = self:_piece(missing)
    else
      data = self.file:read(missing) or ""
    end
    if not data then
      return nil, message, code
    elseif data == "" then
      break
    end
    parts[#parts + 1] = data
    missing = missing - #data
  end
  self.at = self.at + n - missing
  return #parts == 1 and parts[1] or table.concat(parts)
end

--- Pass over bytes.
-- @param n integer
-- @return integer: how many there were; or nil, message, code
function Source:skip(n)
  if not self.decompressor then
    local skipped = math.min(n, self.size - self.at)
    self.file:seek("cur", skipped)
    self.at = self.at + skipped
    return skipped
  end
  local from = self.at
  while self.at - from < n do
    local data, message, code = self:read(math.min(CHUNK, n - (self.at - from)))
    if not data then
      return nil, message, code
    elseif data == "" then
      break
    end
  end
  return self.at - from
end

--- Read to the end, so that what compression checks there is checked.
-- @return true; or nil, message, code
function Source:drain()
  if not self.decompressor then
    return true
  end
  while true do
    local data, message, code = self:_piece(CHUNK)
    if not data then
      return nil, message, code
    elseif data == "" then
      return true
    end
  end
end

return M
