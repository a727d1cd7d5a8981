--- Files from a host: the other direction of kb.transfer.
--
-- A small file comes with the first answer. Of a large one the host first tells by what it is known
-- again, and so we know what we have of it already; the rest comes as a stream, and the digest of
-- all of it with its end.
local crypto = require "kb.core.crypto"
local parts = require "kb.transfer.part"
local quote = require "kb.quote"
local request = require "kb.transfer.request"
local source = require "kb.transfer.source"
local sys = require "kb.core.sys"
local zstd = require "kb.core.zstd"

local M = {}

-- Content up to this size comes with the first answer.
local SMALL = 64 * 1024

-- The host compresses so much of a file to see whether it pays: when at most KEPT percent are left.
local SAMPLE, KEPT = 256 * 1024, 60

local CHUNK = 1 << 20

-- Pieces that cannot be taken, because the local disk is full, end the command.
local Refusal = {}

local function must(ok, message)
  return ok or error(setmetatable({ message = message }, Refusal), 0)
end

local function collected(remote, spec, name, values, opts)
  local said = {}
  local on_out = opts.on_out
  opts.on_out, opts.discard = nil, true
  function opts.on_output(kind, data)
    if kind == "err" then
      said[#said + 1] = data
    else
      on_out(data)
    end
  end
  function opts.err()
    return table.concat(said)
  end
  local ok, result, message, code = pcall(request.run, remote, spec, name, values, opts)
  if not ok and getmetatable(result) == Refusal then
    return nil, ("%s: %s"):format(spec.to or spec.path, result.message), "EIO"
  elseif not ok then
    error(result, 0)
  end
  return result and opts.err(), message, code
end

local function safe(path)
  return (path:gsub("^%-", "./-"))
end

-- What we have at its place already: its size, and its digest when that costs little.
local function mine_of(spec)
  local there = spec.to and sys.stat(spec.to)
  if not there or there.kind ~= "file" then
    return -1, ""
  elseif there.size > SMALL then
    return there.size, ""
  end
  local mine <close> = source.of_file(spec.to)
  return mine and mine.size or -1, mine and mine.digest or ""
end

local function digest_of_mine(spec)
  local mine <close>, message, code = source.of_file(spec.to)
  return mine and mine.digest, message, code
end

-- What the host has: { same = true }, { size =, text =, digest = } of a small file, or { size =,
-- identity =, tool = } of a large one.
local function ask(remote, spec, size, digest)
  local pieces = {}
  local said, message, code = collected(remote, spec, "offer", { f = safe(spec.path), s = size,
    h = digest, most = SMALL, sample = SAMPLE, keep = KEPT }, { on_out = function(data)
    pieces[#pieces + 1] = data
  end })
  if not said then
    return nil, message, code
  end
  local line, text = table.concat(pieces):match("^([^\n]*)\n(.*)$")
  local large, identity, tool = (line or ""):match("^large (%d+) (%S+) (%a*)$")
  if line == "digest" then
    digest, message, code = digest_of_mine(spec)
    if not digest then
      return nil, message, code
    end
    return ask(remote, spec, size, digest)
  elseif line == "same" then
    return { same = true }
  elseif large then
    return { size = tonumber(large), tool = tool, identity = crypto.digest("sha256",
      ("%s\0%s\0%s\0%s"):format(remote.name, spec.path, large, identity)) }
  end
  return { size = tonumber((line or ""):match("^size (%d+)$")), text = text,
    digest = said:match("(%x+)%s*$") }
end

local function changed(remote, spec, message)
  return nil, ("%s: %s: %s"):format(remote.name, spec.path, message
    or "what came is not what is there; it may have changed meanwhile"), "EBADMSG"
end

local function take_small(remote, spec, offer)
  if #offer.text ~= offer.size or crypto.digest("sha256", offer.text) ~= offer.digest then
    return changed(remote, spec)
  end
  local ok, message, code = true, nil, nil
  if spec.to then
    ok, message, code = sys.write_file(spec.to, offer.text, spec.mode)
  else
    spec.write(offer.text)
  end
  if ok and spec.progress then
    spec.progress(offer.size, offer.size)
  end
  return ok, ok and { changed = true, received = offer.size } or message, code
end

-- What takes a large file's pieces: a part of a file, or the caller's function.
local function target(spec, offer)
  if spec.to then
    return parts.open(spec.to, offer.identity, offer.size)
  end
  local hash = crypto.hash("sha256")
  return setmetatable({ at = 0,
    write = function(self, piece)
      hash:update(piece)
      self.at = self.at + #piece
      spec.write(piece)
      return true
    end,
    place = function(self, digest)
      local good = self.at == offer.size and hash:final() == digest
      return good or nil, not good and "what came is not what is there" or nil, "EBADMSG"
    end,
  }, { __close = function() end })
end

-- A function that takes what the host sends, compressed or not; and one for its end.
local function opener(tool, take)
  if tool == "" then
    return take, function() end
  end
  local d = zstd.decompressor()
  return function(data)
    d:give(data)
    repeat
      local piece = must(d:take(CHUNK))
      if piece ~= "" then
        take(piece)
      end
    until piece == ""
  end, function()
    d:close()
  end
end

local function take_large(remote, spec, offer)
  local into <close>, message, code = target(spec, offer)
  if not into then
    return nil, message, code
  end
  local at = into.at
  local on_out, finish = opener(spec.compress ~= false and offer.tool or "", function(piece)
    must(into:write(piece))
    if spec.progress then
      spec.progress(into.at, offer.size)
    end
  end)
  local said
  said, message, code = collected(remote, spec, "send", {
    f = safe(spec.path), s = offer.size, at = at,
    z = spec.compress ~= false and offer.tool ~= "" and "zstd -1 -c" or "cat",
  }, { on_out = on_out })
  finish()
  if not said then
    return nil, message, code
  end
  local ok
  ok, message, code = into:place(said:match "(%x+)%s*$", spec.mode)
  if ok then
    return true, { changed = true, received = offer.size - at }
  elseif code == "EBADMSG" and at > 0 then -- the part from before was bad, and is gone
    return take_large(remote, spec, offer)
  elseif code == "EBADMSG" then
    return changed(remote, spec, message)
  end
  return nil, message, code
end

--- Get a file from a host; see Remote:get.
-- @param remote kb.remote
-- @param spec table
-- @return true and a table; or nil, message, code
function M.get(remote, spec)
  quote(spec.path)
  local offer, message, code = ask(remote, spec, mine_of(spec))
  if not offer then
    return nil, message, code
  elseif offer.same then
    return true, { changed = false, received = 0 }
  elseif offer.text then
    return take_small(remote, spec, offer)
  end
  return take_large(remote, spec, offer)
end

return M
