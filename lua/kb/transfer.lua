--- Files to and from a host, as streams into and out of commands.
--
-- A file arrives whole or not at all: it is written under another name in the same directory, gets
-- its owner and mode, is compared by digest, synced and renamed. What the host has already is not
-- sent; a long transfer that broke goes on where it ended.
local get = require("kb.transfer.get").get
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
    f = path, d = dir == "" and "/" or dir, h = data.digest, s = data.size,
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

local function put_large(remote, spec, data, values)
  local result, message, code = request.run(remote, spec, "probe", values)
  if not result then
    return nil, message, code
  elseif result.out == "same" then
    return true, { changed = false, sent = 0 }
  end
  local at, tool = result.out:match("^have (%d+) ?(%a*)$")
  at = tonumber(at)
  values.at, values.z = at, "cat"
  local opts = { stdin = counted(data.read(at), spec.progress, at, data.size) }
  opts.size = data.size - at
  if tool == "zstd" and spec.compress ~= false and compresses(data, at) then
    values.z, opts.size = "zstd -dc", nil
    opts.stdin = compressed(opts.stdin)
  end
  result, message, code = request.run(remote, spec, "large", values, opts)
  if not result and code == "EBADMSG" and at > 0 then -- the part from before was bad, and is gone
    return put_large(remote, spec, data, values)
  elseif not result then
    return nil, message, code
  end
  return true, { changed = true, sent = data.size - at }
end

local function put(remote, spec)
  quote(spec.path)
  local data <close>, message, code = source.open(spec)
  if not data then
    return nil, message, code
  end
  local values = values_of(spec, data)
  local result
  local done, info
  if data.size > SMALL then
    done, info, code = put_large(remote, spec, data, values)
    message = info
  else
    result, message, code = request.run(remote, spec, "small", values, {
      stdin = data.text or data.read(0), size = data.size,
    })
    done = result and true
    info = result and { changed = result.out == "changed",
      sent = result.out == "changed" and data.size or 0 }
  end
  if not done then
    return nil, message, code
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
