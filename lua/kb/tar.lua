--- Write tar archives in pieces: ustar, with pax headers for what does not fit.
local M = {}

local BLOCK = 512

local function octal(value, width)
  return ("%0" .. (width - 1) .. "o\0"):format(value)
end

-- name and prefix of ustar: at most 100 and 155 bytes, split at a slash.
local function split(path)
  if #path <= 100 then
    return path, ""
  end
  for at = math.min(155, #path - 1), math.max(1, #path - 101), -1 do
    if path:sub(at + 1, at + 1) == "/" and #path - at - 1 <= 100 then
      return path:sub(at + 2), path:sub(1, at)
    end
  end
end

local function header(name, prefix, entry, kind, size)
  local fields = table.concat {
    name, ("\0"):rep(100 - #name), octal(entry.mode, 8), octal(0, 8), octal(0, 8), octal(size, 12),
    octal(math.min(math.max(entry.mtime, 0), 8 ^ 11 - 1) // 1 | 0, 12), (" "):rep(8), kind,
    entry.to or "", ("\0"):rep(100 - #(entry.to or "")), "ustar\00000", ("\0"):rep(64),
    octal(0, 8), octal(0, 8), prefix, ("\0"):rep(155 - #prefix), ("\0"):rep(12),
  }
  local sum = 0
  for i = 1, BLOCK do
    sum = sum + fields:byte(i)
  end
  return fields:sub(1, 148) .. ("%06o\0 "):format(sum) .. fields:sub(157)
end

-- "LENGTH key=value\n", where LENGTH counts itself.
local function record(key, value)
  local rest = (" %s=%s\n"):format(key, value)
  local length = #rest
  while #tostring(length) + #rest ~= length do
    length = #tostring(length) + #rest
  end
  return length .. rest
end

--- What fills the last block of so many bytes.
-- @param size integer
-- @return string
function M.padding(size)
  return ("\0"):rep(-size % BLOCK)
end

local kinds = { file = "0", link = "2", directory = "5" }

--- The header of an entry; the content of a file follows, then its padding.
-- @param entry table: path (relative), kind ("file", "directory" or "link"), mode (permission
-- bits), mtime (seconds), size (of a file), to (of a link)
-- @return string
function M.header(entry)
  local size = entry.kind == "file" and entry.size or 0
  local name, prefix = split(entry.path)
  local records = {}
  if not name then
    records[#records + 1] = record("path", entry.path)
  end
  if entry.to and #entry.to > 100 then
    records[#records + 1] = record("linkpath", entry.to)
  end
  if size >= 8 ^ 11 then
    records[#records + 1] = record("size", size)
  end
  local short = { mode = entry.mode, mtime = entry.mtime, to = entry.to and entry.to:sub(1, 100) }
  local own = header(name or entry.path:sub(-100), prefix or "", short, kinds[entry.kind],
    size < 8 ^ 11 and size or 0)
  if #records == 0 then
    return own
  end
  local text = table.concat(records)
  return header("pax", "", { mode = 420, mtime = 0 }, "x", #text) .. text .. M.padding(#text) .. own
end

--- What ends an archive.
M.ending = ("\0"):rep(2 * BLOCK)

return M
