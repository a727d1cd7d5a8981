--- Files to and from a host, as streams into and out of commands.
--
-- A file arrives whole or not at all: it is written under another name in the same directory, gets
-- its owner and mode, is compared by digest, synced and renamed. What the host has already is not
-- sent; a long transfer that broke goes on where it ended.
local get = require("kb.transfer.get").get
local part = require "kb.transfer.part"
local quote = require "kb.quote"
local request = require "kb.transfer.request"
local source = require "kb.transfer.source"
local task = require "kb.core.task"
local zstd = require "kb.core.zstd"

local M = {}

-- Content up to this size goes along with the first request.
local SMALL = 64 * 1024

-- Compressed data goes in larger pieces, because each costs a process on the host.
local FRAME = 2 * 1024 * 1024

-- Compression pays when it saves this part of what is sent: encrypting a byte costs about as much
-- as compressing one.
local SAVING = 0.4

local function values_of(spec, data)
  local path = spec.path:sub(1, 1) == "-" and "./" .. spec.path or spec.path
  local dir = path:match("^(.*)/[^/]*$") or "."
  return {
    f = path, d = dir == "" and "/" or dir, s = data.size,
    u = spec.owner or "", g = spec.group or "",
    m = spec.mode and ("%o"):format(spec.mode) or "",
    v = spec.validate and spec.validate:gsub("%%s", '"$t"') or "",
    b = spec.backup and (spec.backup == true and os.date("!.%Y%m%dT%H%M%SZ~") or spec.backup) or "",
  }
end

local function counted(read, progress, done, total)
  if not progress then
    return read
  end
  return function()
    local piece, message, code = read()
    if piece then
      done = done + #piece
      progress(done, total)
    end
    return piece, message, code
  end
end

-- Whether a sample says that compression pays.
local function compresses(data, at)
  local sample = data.read(at)()
  if not sample or #sample < 4096 then
    return false
  end
  local c <close> = zstd.compressor(1)
  return #c:feed(sample) + #c:finish() < #sample * (1 - SAVING)
end

local function compressed(read)
  local c, over = zstd.compressor(1), false
  return function()
    local parts, size = {}, 0
    while not over and size < FRAME do
      local piece, message, code = read()
      if message then
        return nil, message, code
      end
      over = piece == nil
      parts[#parts + 1] = over and c:finish() or c:feed(piece)
      size = size + #parts[#parts]
      task.yield()
    end
    return size > 0 and table.concat(parts) or nil
  end
end

-- What the host has of it: true when it has all, else so many bytes, and whether it has zstd.
local function probe(remote, spec, data, values)
  values.h = data.digest or ""
  local result, message, code = request.run(remote, spec, "probe", values)
  if result and result.out == "digest" then -- it has a file of that size
    values.h, message, code = data:await()
    if not values.h then
      return nil, message, code
    end
    result, message, code = request.run(remote, spec, "probe", values)
  end
  if not result then
    return nil, message, code
  elseif result.out == "same" then
    return true
  end
  local at, tool = result.out:match("^have (%d+) ?(%a*)$")
  return tonumber(at), tool
end

-- A task that ends with its scope.
local Helper = { __close = function(helper)
  helper.task:cancel()
  local _ <close> = task.shield(1)
  pcall(helper.task.join, helper.task)
end }

-- Send what is missing while the digest of all of it is made here and there; returns both.
local function send(remote, spec, data, values)
  local at = values.at
  local helper <close> = setmetatable({ task = task.background(data.await, data) }, Helper)
  local opts = { stdin = counted(data.read(at), spec.progress, at, data.size),
    size = data.size - at }
  values.z = "cat"
  if values.tool == "zstd" and spec.compress ~= false and compresses(data, at) then
    values.z, opts.size = "zstd -dc", nil
    opts.stdin = compressed(opts.stdin)
  end
  local result, message, code = request.run(remote, spec, "receive", values, opts)
  if not result then
    return nil, message, code
  end
  local digest
  digest, message, code = helper.task:join()
  return digest and { here = digest, there = result.out:match("^got (%x+)$") }, message, code
end

local function put_large(remote, spec, data, values)
  values.k, values.n = part.place(spec.path), data.identity:sub(1, 32)
  local at, tool, code = probe(remote, spec, data, values)
  if not at or at == true then
    return at, at and { changed = false, sent = 0 } or tool, code
  end
  values.at, values.tool = at, tool
  local digests, message
  digests, message, code = send(remote, spec, data, values)
  if digests and digests.here ~= digests.there then
    request.run(remote, spec, "drop", values)
    digests, code = nil, "EBADMSG"
    message = ("%s: %s arrived damaged"):format(remote.name, spec.path)
  end
  if not digests and code == "EBADMSG" and at > 0 then -- the part from before was bad, and is gone
    return put_large(remote, spec, data, values)
  end
  local done = digests
  if digests then
    done, message, code = request.run(remote, spec, "settle", values)
  end
  return done and true, done and { changed = true, sent = data.size - at } or message, code
end

-- All of a small file: if it failed on its way, the command would be killed and leave its own.
local function whole(data)
  local parts, read = {}, data.read(0)
  while not data.text do
    local piece, message, code = read()
    if message then
      return nil, message, code
    elseif not piece then
      break
    end
    parts[#parts + 1] = piece
  end
  return data.text or table.concat(parts)
end

local function put_small(remote, spec, data, values)
  local text, message, code, result
  values.h, message, code = data:await()
  if values.h then
    text, message, code = whole(data)
  end
  if not text then
    return nil, message, code
  end
  result, message, code = request.run(remote, spec, "small", values, { stdin = text,
    size = data.size })
  if not result then
    return nil, message, code
  end
  local changed = result.out == "changed"
  return true, { changed = changed, sent = changed and data.size or 0 }
end

local function put(remote, spec)
  quote(spec.path)
  local data <close>, message, code = source.open(spec)
  if not data then
    return nil, message, code
  end
  local values = values_of(spec, data)
  local way = data.size > SMALL and put_large or put_small
  local done, info
  done, info, code = way(remote, spec, data, values)
  if not done then
    return nil, info, code
  end
  if spec.progress then
    spec.progress(data.size, data.size)
  end
  info.backup = info.changed and values.b ~= "" and spec.path .. values.b or nil
  return true, info
end

--- Put a file on a host; see Remote:put.
-- @param remote kb.remote
-- @param spec table
-- @return true and a table; or nil, message, code
function M.put(remote, spec)
  return request.within(remote, spec, put)
end

--- Get a file from a host; see Remote:get.
-- @param remote kb.remote
-- @param spec table
-- @return true and a table; or nil, message, code
function M.get(remote, spec)
  return request.within(remote, spec, get)
end

return M
