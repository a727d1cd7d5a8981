--- What is sent to a host: its size and digest are known before the first byte goes.
local crypto = require "kb.core.crypto"
local secret = require "kb.secret"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local M = {}

local PIECE = 256 * 1024

-- The pieces of a file; others may read it at the same time.
local function pieces_of(file, from, to)
  return function()
    if from == to then
      return nil
    end
    file:seek("set", from)
    local piece = file:read(math.min(PIECE, to - from))
    if not piece then
      return nil, "the file became shorter while it was read", "EIO"
    end
    from = from + #piece
    return piece
  end
end

-- What is closed by closing a file.
local Source = {
  __close = function(source)
    if source.file then
      source.file:close()
    end
  end,
}

local function hash_of(read)
  local hash, size = crypto.hash("sha256"), 0
  while true do
    local piece, message, code = read()
    if message then
      return nil, message, code
    elseif not piece then
      return hash:final(), size
    end
    hash:update(piece)
    size = size + #piece
    task.yield()
  end
end

local known = {} -- path -> { size, mtime, digest } of files hashed before, one for many hosts

local function digest_of(path, file, stat)
  local last = known[path]
  if last and last.size == stat.size and last.mtime == stat.mtime then
    return last.digest
  end
  local digest, message, code = hash_of(pieces_of(file, 0, stat.size))
  if digest then
    known[path] = { size = stat.size, mtime = stat.mtime, digest = digest }
  end
  return digest, message, code
end

local function of_text(text)
  return setmetatable({
    size = #text,
    digest = crypto.digest("sha256", text),
    text = text,
    read = function(from)
      return function()
        local piece = from < #text and text:sub(from + 1, from + PIECE) or nil
        from = from + PIECE
        return piece
      end
    end,
  }, Source)
end

--- Open a local file to be sent or compared.
-- @param path string
-- @return source; or nil, message, code
function M.of_file(path)
  local stat, message, code = sys.stat(path)
  if not stat then
    return nil, message, code
  elseif stat.kind ~= "file" then
    return nil, path .. " is not a file but a " .. stat.kind, "EINVAL"
  end
  local file
  file, message = io.open(path, "rb")
  if not file then
    return nil, message, "EACCES"
  end
  local source = setmetatable({
    file = file,
    size = stat.size,
    read = function(from)
      return pieces_of(file, from, stat.size)
    end,
  }, Source)
  source.digest, message, code = digest_of(path, file, stat)
  if not source.digest then
    file:close()
    return nil, path .. ": " .. message, code
  end
  return source
end

-- Data of unknown length is kept in a file of ours until all of it is there: its digest and size
-- must be known before the first byte is sent.
local function of_function(read)
  local file = io.tmpfile()
  while true do
    local piece, message, code = read()
    if message then
      file:close()
      return nil, message, code
    elseif not piece then
      break
    end
    file:write(piece)
  end
  local size = file:seek("end")
  return setmetatable({
    file = file,
    size = size,
    digest = hash_of(pieces_of(file, 0, size)),
    read = function(from)
      return pieces_of(file, from, size)
    end,
  }, Source)
end

--- Open what a put names.
-- @param spec table: content (string or secret), file (path) or read (function giving pieces)
-- @return source: size, digest (SHA-256), read (function of an offset, gives a function giving
-- pieces), to be closed; or nil, message, code
function M.open(spec)
  if spec.content then
    return of_text(secret.reveal(spec.content))
  elseif spec.file then
    return M.of_file(spec.file)
  elseif spec.read then
    return of_function(spec.read)
  end
  error("put needs content, file or read", 0)
end

return M
