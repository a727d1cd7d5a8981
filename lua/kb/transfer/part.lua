--- A local file on its way: what has come of it is kept under a name of its own until all is there.
--
-- The name tells what it is a part of, so that a later transfer of the same goes on where this one
-- ended, and one of other content does not.
local crypto = require "kb.core.crypto"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local M = {}

local PRIVATE = 384 -- 0600: who knows what is in it

local PIECE = 1 << 20

local Part = {}
Part.__index = Part
Part.__name = "kb.part"

-- Several files of the same content may be on their way to one directory.
local function name_of(path, identity)
  local dir, name = path:match("^(.*/)([^/]*)$")
  local which = crypto.digest("sha256", name or path):sub(1, 8)
  return ("%s.kbrun.%s.%s.part"):format(dir or "", identity:sub(1, 32), which)
end

-- What came before, unless somebody else may have made it.
local function size_before(path, most)
  local stat = sys.stat(path, false)
  local mine = stat and stat.kind == "file" and stat.uid == sys.self().uid and stat.size <= most
  return mine and stat.size or 0
end

local function hash_before(path, hash)
  local file <close> = assert(io.open(path, "rb"))
  for piece in file:lines(PIECE) do
    hash:update(piece)
    task.yield()
  end
end

--- Go on with a file, or begin with it.
-- @param path string: where it is to be in the end
-- @param identity string: a digest by which what it is a part of is known again
-- @param size integer
-- @return part, to be closed: at (bytes that are there), write, drop, place; or nil, message, code
function M.open(path, identity, size)
  local self = setmetatable({ to = path, path = name_of(path, identity), size = size,
    hash = crypto.hash("sha256") }, Part)
  self.at = size_before(self.path, size)
  if self.at > 0 then
    hash_before(self.path, self.hash)
  else
    local ok, message, code = sys.write_file(self.path, "", PRIVATE)
    if not ok then
      return nil, message, code
    end
  end
  local message
  self.file, message = io.open(self.path, "ab")
  if not self.file then
    return nil, message, "EACCES"
  end
  return self
end

--- Add a piece.
-- @param piece string
-- @return true; or nil, message
function Part:write(piece)
  self.hash:update(piece)
  self.at = self.at + #piece
  return self.file:write(piece)
end

--- Put it in its place, if it is what it should be; else it is gone.
-- @param digest string: the SHA-256 that it must have
-- @param mode integer or nil: permission bits (0600)
-- @return true; or nil, message, code: EBADMSG when it is something else
function Part:place(digest, mode)
  local ok, message = self.file:close()
  self.file = nil
  if not ok then
    return nil, message, "EIO"
  elseif self.at ~= self.size or self.hash:final() ~= digest then
    sys.remove(self.path)
    return nil, "what came is not what is there; it may have changed meanwhile", "EBADMSG"
  end
  return sys.place(self.path, self.to, mode or PRIVATE)
end

Part.__close = function(self)
  if self.file then
    self.file:close()
    if self.at == 0 then
      sys.remove(self.path)
    end
  end
end

return M
