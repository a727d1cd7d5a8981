--- The blobs of a bundle as they are written: under another name until they are whole and their
-- digest is known.
local bundle = require "kb.bundle"
local crypto = require "kb.core.crypto"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local M = {}

local PIECE = 1 << 18

local count = 0 -- of writers, for names of their own

local Writer = {}
Writer.__index = Writer

--- Make the directories of a bundle.
-- @param dir string
-- @return true; or nil, message, code
function M.prepare(dir)
  for _, part in ipairs { "/blobs/sha256", "/parts" } do
    local ok, message, code = sys.mkdir(dir .. part)
    if not ok then
      return nil, message, code
    end
  end
  return true
end

--- Begin to write a blob.
-- @param dir string: the bundle
-- @return writer: to be closed (`local writer <close>`); or nil, message, code
function M.writer(dir)
  count = count + 1
  local path = ("%s/parts/new-%d"):format(dir, count)
  local file, message = io.open(path, "wb")
  if not file then
    return nil, message, "EIO"
  end
  return setmetatable({ dir = dir, path = path, file = file, hash = crypto.hash("sha256"),
    size = 0 }, Writer)
end

--- Write a piece.
-- @param piece string
-- @return true; or nil, message, code
function Writer:write(piece)
  self.hash:update(piece)
  self.size = self.size + #piece
  local ok, message = self.file:write(piece)
  return ok and true, message, "EIO"
end

--- End the blob: it gets its name.
-- @return { sha256, size }; or nil, message, code
function Writer:finish()
  local ok, message = self.file:close()
  self.file = nil
  local blob = { sha256 = self.hash:final(), size = self.size }
  if ok then
    ok, message = os.rename(self.path, bundle.blob(self.dir, blob.sha256))
  end
  if not ok then
    return nil, message, "EIO"
  end
  self.path = nil
  return blob
end

function Writer:close()
  if self.file then
    self.file:close()
    self.file = nil
  end
  if self.path then
    sys.remove(self.path)
    self.path = nil
  end
end
Writer.__close = Writer.close

--- Write a blob from a function that gives pieces.
-- @param dir string: the bundle
-- @param pieces function: a string; nil at the end; or nil, message, code
-- @return { sha256, size }; or nil, message, code
function M.add(dir, pieces)
  local writer <close>, why, how = M.writer(dir)
  if not writer then
    return nil, why, how
  end
  while true do
    local piece, message, code = pieces()
    if message then
      return nil, message, code
    elseif not piece then
      return writer:finish()
    end
    local ok
    ok, message, code = writer:write(piece)
    if not ok then
      return nil, message, code
    end
    task.yield()
  end
end

--- Write a text as a blob.
-- @param dir string: the bundle
-- @param text string
-- @return { sha256, size }; or nil, message, code
function M.add_text(dir, text)
  return M.add(dir, function()
    local piece = text
    text = nil
    return piece
  end)
end

--- Copy a file as a blob.
-- @param dir string: the bundle
-- @param path string
-- @return { sha256, size }; or nil, message, code
function M.add_file(dir, path)
  local stat, message, code = sys.stat(path)
  if not stat then
    return nil, message, code
  elseif stat.kind ~= "file" then
    return nil, path .. " is not a file", "EINVAL"
  end
  local file <close>, why = io.open(path, "rb")
  if not file then
    return nil, why, "EACCES"
  end
  return M.add(dir, function()
    return file:read(PIECE)
  end)
end

return M
