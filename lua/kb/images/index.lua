--- The entries of an image archive: where each is, how long, and what its content hashes to. Layers
-- pass through in pieces; only what may be JSON is kept.
local crypto = require "kb.core.crypto"
local reader_of = require "kb.tar.reader"
local source_of = require "kb.images.source"
local task = require "kb.core.task"

local M = {}

local KEEP = 1 << 20 -- a manifest or config is smaller than this
local KEEP_ALL = 32 << 20
local FEED = 1 << 16

-- Where a path leads, seen from a directory inside of the archive; nil when it leads out of it.
local function resolve(path, from)
  if path:find("^/") or path:find("\0") then
    return nil
  end
  local parts = {}
  for part in (from .. path):gmatch("[^/]+") do
    if part == ".." then
      if #parts == 0 then
        return nil
      end
      parts[#parts] = nil
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  return table.concat(parts, "/")
end

-- Hashes a content as it is and, when it is compressed, what it decompresses to.
local function hasher(head)
  local compression, make = source_of.compression(head)
  return { raw = crypto.hash("sha256"), compression = compression, decompressor = make and make(),
    plain = make and crypto.hash("sha256"), plain_size = 0 }
end

local function hash_plain(h, data)
  for at = 1, #data, FEED do
    h.decompressor:give(data:sub(at, at + FEED - 1))
    while true do
      local plain, message, code = h.decompressor:take()
      if not plain then
        return nil, message, code
      elseif plain == "" then
        break
      end
      h.plain:update(plain)
      h.plain_size = h.plain_size + #plain
    end
  end
  return true
end

local function hash_piece(h, data)
  h.raw:update(data)
  if h.decompressor then
    return hash_plain(h, data)
  end
  return true
end

local function finish(h, entry)
  entry.digest = "sha256:" .. h.raw:final()
  entry.compression = h.compression
  entry.plain_size, entry.plain_digest = entry.size, entry.digest
  if h.decompressor then
    local ok, message, code = h.decompressor:finish()
    if not ok then
      return nil, message, code
    end
    entry.plain_size, entry.plain_digest = h.plain_size, "sha256:" .. h.plain:final()
  end
  return true
end

-- Read the entry's content for its digests, and keep its text when that may be JSON.
local function measure(reader, entry, kept)
  local h, parts
  while true do
    local data, message, code = reader:content()
    if message then
      return nil, message, code
    elseif not data then
      break
    end
    if not h then
      h = hasher(data)
      parts = entry.size <= KEEP and data:find("^%s*[%[{]") and {}
    end
    local ok
    ok, message, code = hash_piece(h, data)
    if not ok then
      return nil, message, code
    end
    if parts then
      parts[#parts + 1] = data
      kept.bytes = kept.bytes + #data
    end
    task.yield()
  end
  entry.text = parts and table.concat(parts)
  return finish(h or hasher(""), entry)
end

local function fail(entry, message, code)
  return nil, ("%s: %s"):format(entry.name, message), code or "EINVAL"
end

local function add(reader, entry, index, kept)
  local name = resolve(entry.name, "")
  if not name then
    return fail(entry, "its path leads out of the archive")
  elseif index[name] and entry.kind ~= "directory" then
    return fail(entry, "it is in the archive twice")
  end
  if entry.kind == "link" or entry.kind == "hard link" then
    -- docker writes a layer that several images have once, and links to it
    local dir = entry.kind == "link" and (name:match("^(.*/)") or "") or ""
    local target = resolve(entry.target, dir)
    if not target then
      return fail(entry, ("it links to %s, out of the archive"):format(entry.target))
    end
    index[name] = { name = name, target = target }
  elseif entry.kind == "file" then
    local ok, message, code = measure(reader, entry, kept)
    if not ok then
      return fail(entry, message, code)
    elseif kept.bytes > KEEP_ALL then
      return fail(entry, "there are too many manifests in the archive")
    end
    index[name] = entry
  elseif entry.kind ~= "directory" then
    return fail(entry, "it is no file: an image archive has files and directories")
  end
  return true
end

--- Read all entries of an archive.
-- @param source source
-- @return table: by path, {offset, size, digest, plain_digest, plain_size, compression, text} or
--   {target} of a link; or nil, message, code
function M.read(source)
  local reader, index, kept = reader_of.new(source), {}, { bytes = 0 }
  while true do
    local entry, message, code = reader:next()
    if message then
      return nil, message, code
    elseif not entry then
      break
    end
    local ok
    ok, message, code = add(reader, entry, index, kept)
    if not ok then
      return nil, message, code
    end
  end
  local ok, message, code = source:drain()
  if not ok then
    return nil, message, code
  end
  return index
end

--- Find an entry, through links.
-- @param index table from `read`
-- @param path string
-- @return entry or nil
function M.find(index, path)
  local name = resolve(path, "")
  for _ = 1, 8 do
    local entry = name and index[name]
    if not entry or not entry.target then
      return entry
    end
    name = entry.target
  end
end

return M
