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

local function known_of(path, stat)
  local last = known[path]
  if not last or last.size ~= stat.size or last.mtime ~= stat.mtime then
    last = { size = stat.size, mtime = stat.mtime, changed = task.condition() }
    known[path] = last
  end
  return last
end

local function hash_once(path, entry)
  local _ <close> = setmetatable({}, { __close = function()
    entry.working = false
    entry.changed:notify()
  end })
  entry.working = true
  local digest, size, code = crypto.digest_file("sha256", path)
  if not digest then
    return nil, size, code
  elseif size ~= entry.size then
    return nil, path .. " became another file while it was read", "EIO"
  end
  entry.digest = digest
  return digest
end

-- The first that wants the digest of a file computes it, the others wait for that.
local function digest_of(path, entry)
  while entry.working do
    local ok, message, code = entry.changed:wait()
    if not ok then
      return nil, message, code
    end
  end
  if entry.digest then
    return entry.digest
  end
  return hash_once(path, entry)
end

local function digest_known(source)
  return source.digest
end

local function of_text(text)
  local digest = crypto.digest("sha256", text)
  return setmetatable({
    size = #text,
    digest = digest,
    identity = digest,
    await = digest_known,
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

-- What a file is known by before its digest is: its place, size and time.
local function identity_of(path, stat)
  return crypto.digest("sha256", ("%s\0%d\0%s"):format(sys.realpath(path) or path, stat.size,
    stat.mtime))
end

--- Open a local file to be sent.
-- @param path string
-- @return source, whose digest may not be known yet; or nil, message, code
function M.begin(path)
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
  local entry = known_of(path, stat)
  return setmetatable({
    file = file,
    size = stat.size,
    identity = identity_of(path, stat),
    digest = entry.digest,
    await = function(source)
      source.digest, message, code = digest_of(path, entry)
      return source.digest, message, code
    end,
    read = function(from)
      return pieces_of(file, from, stat.size)
    end,
  }, Source)
end

--- Open a local file to be compared.
-- @param path string
-- @return source with its digest; or nil, message, code
function M.of_file(path)
  local source, message, code = M.begin(path)
  if not source then
    return nil, message, code
  end
  local digest
  digest, message, code = source:await()
  if not digest then
    source.file:close()
    return nil, message, code
  end
  return source
end

-- Keep what a function gives in a file: its size; or nil, message, code.
local function keep(file, read)
  while true do
    local piece, message, code = read()
    if message then
      return nil, message, code
    elseif not piece then
      break
    end
    local ok, why = file:write(piece)
    if not ok then
      return nil, why, "EIO"
    end
  end
  local size, why = file:seek("end") -- writes what is left
  return size, why, "EIO"
end

-- Data of unknown length is kept in a file of ours until all of it is there: its digest and size
-- must be known before the first byte is sent.
local function of_function(read, path)
  local file, why = io.tmpfile()
  if not file then
    return nil, ("%s: it cannot be kept in a temporary file here: %s"):format(path, why), "EIO"
  end
  local size, message, code = keep(file, read)
  if not size then
    file:close()
    if code == "EIO" then
      message = ("%s: it cannot be kept in a temporary file here: %s"):format(path, message)
    end
    return nil, message, code
  end
  local digest = hash_of(pieces_of(file, 0, size))
  return setmetatable({
    file = file,
    size = size,
    digest = digest,
    identity = digest,
    await = digest_known,
    read = function(from)
      return pieces_of(file, from, size)
    end,
  }, Source)
end

--- Open what a put names.
-- @param spec table: content (string or secret), file (path) or read (function giving pieces)
-- @return source: size, read (function of an offset, gives a function giving pieces), identity (a
-- digest by which it is known again), digest (SHA-256; nil while it is not known), await (method:
-- waits for the digest), to be closed; or nil, message, code
function M.open(spec)
  if spec.content then
    return of_text(secret.reveal(spec.content))
  elseif spec.file then
    return M.begin(spec.file)
  elseif spec.read then
    return of_function(spec.read, spec.path)
  end
  error("put needs content, file or read", 0)
end

return M
