--- A blob as frames: a line that says what comes, and then its bytes.

local task = require "kb.core.task"
local zstd = require "kb.core.zstd"

local M = {}

-- Each frame costs processes on the host, and each is in memory here a few times.
local FRAME = 1024 * 1024

-- Compression pays when it saves this part of what is sent; most blobs are compressed already.
local SAVING = 0.4

local function packed(piece)
  local c <close> = zstd.compressor(1)
  return c:feed(piece) .. c:finish()
end

-- A file of that size, open at a place.
local function open(blob, at)
  local file, message = io.open(blob.file, "rb")
  if not file then
    return nil, message
  end
  local size = file:seek("end")
  if size ~= blob.size then
    file:close()
    return nil, ("%s has %d bytes, it should have %d"):format(blob.file, size, blob.size)
  end
  file:seek("set", at)
  return file
end

--- The frames of a blob from a place on.
-- @param blob table: sha256, size, file (its path on the operator's machine)
-- @param at integer: so many bytes are there already
-- @param unpacks boolean: whether the other side has zstd
-- @return function giving a frame and how far it goes, then nil, and the open file, to be closed by
-- the caller; or nil, message
function M.of(blob, at, unpacks)
  local file, message = open(blob, at)
  if not file then
    return nil, message
  end
  local pays = unpacks -- until the first piece says otherwise
  return function()
    local piece = at < blob.size and file:read(math.min(FRAME, blob.size - at))
    if not piece then
      return nil
    end
    at = at + #piece
    local small = pays and packed(piece)
    task.yield()
    if small and #small < #piece * (1 - SAVING) then
      return ("packed %s %d %d\n"):format(blob.sha256, #small, #piece) .. small, at
    end
    pays = false
    return ("data %s %d\n"):format(blob.sha256, #piece) .. piece, at
  end, file
end

-- A function that takes pieces of text and calls another one with each whole line.
local function lines(each)
  local rest = ""
  return function(piece)
    rest = rest .. piece
    for line in rest:gmatch("([^\n]*)\n") do
      each(line)
    end
    rest = rest:match("[^\n]*$")
  end
end

--- A function that takes pieces of what a script prints: each line is an event, a word and its
-- arguments.
-- @param tells table: word -> function(owner, arguments...); other words mean nothing
-- @param owner any
-- @param after function(): called after each event
-- @return function(piece)
function M.events(tells, owner, after)
  return lines(function(line)
    local words = {}
    for word in line:gmatch("%S+") do
      words[#words + 1] = word
    end
    if tells[words[1]] then
      tells[words[1]](owner, table.unpack(words, 2))
      after()
    end
  end)
end

return M
