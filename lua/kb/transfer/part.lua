--- A local file on its way: what has come of it is kept under a name of its own until all is there.
--
-- The name tells where it is to be and what it is a part of, so that a later transfer of the same
-- goes on where this one ended, and one of other content takes its place.
local crypto = require "kb.core.crypto"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local M = {}

local PRIVATE = 384 -- 0600: who knows what is in it

local PIECE = 1 << 20

--- How the name of a part says where it is to be.
-- @param path string: ending in a name
-- @return string: eight hexadecimal digits
function M.place(path)
  return crypto.digest("sha256", path:match "[^/]+$" or path):sub(1, 8)
end

local Part = {}
Part.__index = Part
Part.__name = "kb.part"

-- The directory, and the beginning and the whole of the part's name in it.
local function name_of(path, identity)
  local dir = path:match "^.*/" or ""
  local beginning = (".kbrun.%s."):format(M.place(path))
  return dir, beginning, beginning .. identity:sub(1, 32) .. ".part"
end

local function is_mine(path)
  local stat = sys.stat(path, false)
  return stat and stat.kind == "file" and stat.uid == sys.self().uid and stat
end

-- Parts of what was to be there before are of no use.
local function remove_others(dir, beginning, name)
  for _, other in ipairs(sys.list(dir == "" and "." or dir) or {}) do
    if other:sub(1, #beginning) == beginning and other ~= name and is_mine(dir .. other) then
      sys.remove(dir .. other)
    end
  end
end

-- What came before, unless somebody else may have made it.
local function size_before(path, most)
  local stat = is_mine(path)
  return stat and stat.size <= most and stat.size or 0
end

local function hash_before(path, hash)
  local file <close> = assert(io.open(path, "rb"))
  for piece in file:lines(PIECE) do
    hash:update(piece)
    task.yield()
  end
end

-- Take the part for us alone: two that wrote into it would spoil it for each other.
local function take(self)
  while true do
    if not is_mine(self.path) then
      local ok, message, code = sys.write_file(self.path, "", PRIVATE)
      if not ok then
        return nil, message, code
      end
    end
    local lock, message, code = sys.lock(self.path)
    if lock == false then
      return nil, ("%s: another transfer to it is under way, which writes %s"):format(self.to,
        self.path), "EBUSY"
    elseif not lock then
      return nil, message, code
    elseif is_mine(self.path) then
      self.lock = lock
      return true
    end
    sys.unlock(lock) -- of what was put in its place just now
  end
end

--- Go on with a file, or begin with it.
-- @param path string: where it is to be in the end
-- @param identity string: a digest by which what it is a part of is known again
-- @param size integer
-- @return part, to be closed: at (bytes that are there), write, drop, place; or nil, message, code:
--   EBUSY when another transfer writes it
function M.open(path, identity, size)
  local dir, beginning, name = name_of(path, identity)
  local self = setmetatable({ to = path, path = dir .. name, size = size,
    hash = crypto.hash("sha256") }, Part)
  remove_others(dir, beginning, name)
  local ok, message, code = take(self)
  if not ok then
    return nil, message, code
  end
  local _ <close> = setmetatable({}, { __close = function()
    if not self.file then
      sys.unlock(self.lock)
    end
  end })
  self.at = size_before(self.path, size)
  if self.at > 0 then
    hash_before(self.path, self.hash)
  end
  self.file, message = io.open(self.path, self.at > 0 and "ab" or "wb")
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
  sys.unlock(self.lock)
end

return M
