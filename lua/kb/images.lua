--- Container images in archives: what they hold, whether they are whole, and what of them a host
-- needs yet. Archives are those of `docker save` (docker-archive) and OCI layouts, as tar, tar.gz
-- or tar.zst; no layer is ever held in memory.
local archive_of = require "kb.images.archive"
local plan_of = require "kb.images.plan"
local reference = require "kb.images.reference"
local source_of = require "kb.images.source"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local M = {}

M.reference = reference

--- The ids of the chains that layers form, as docker counts them.
-- @param diff_ids list of strings: RootFS.Layers of `docker image inspect`
-- @return list of strings
M.chain_ids = archive_of.chain_ids

local Archive = {}
Archive.__index = Archive

--- Give an image of the archive another name.
-- @param from string: a name that it has
-- @param to string
-- @return true; or nil, message, "EINVAL"
function Archive:retag(from, to)
  local full = reference.full(from)
  for _, image in ipairs(self.images) do
    for i, tag in ipairs(image.tags) do
      if tag == full then
        image.tags[i] = reference.full(to)
        return true
      end
    end
  end
  return nil, ("%s has no image %s"):format(self.path, from), "EINVAL"
end

-- What was read is the same as long as the file is; tasks that want it at once share one reading.
local known = {} -- path -> { size, mtime, platform, done (condition), result }

-- A copy, so that names given to it are the caller's own.
local function own(read, path)
  local archive = setmetatable({ path = path, format = read.format, images = {}, size = read.size,
    mtime = read.mtime, compression = read.compression }, Archive)
  for i, image in ipairs(read.images) do
    local copy = {}
    for field, value in pairs(image) do
      copy[field] = value
    end
    copy.archive = archive
    copy.tags = table.move(image.tags, 1, #image.tags, 1, {})
    archive.images[i] = copy
  end
  return archive
end

local function read_file(path, platform)
  local source <close>, message, code = source_of.open(path)
  if not source then
    return { message = message, code = code }
  end
  local read
  read, message, code = archive_of.read(source, platform)
  if not read then
    return { message = path .. ": " .. message, code = code }
  end
  read.size, read.mtime, read.compression = source.size, source.mtime, source.compression
  return { read = read }
end

local function remember(path, stat, platform)
  local entry = { size = stat.size, mtime = stat.mtime, platform = platform,
    done = task.condition() }
  known[path] = entry
  local ok, result = pcall(read_file, path, platform)
  entry.result = ok and result or { message = path .. ": given up", code = "ECANCELLED" }
  if not (ok and result.read) then
    known[path] = nil
  end
  entry.done:notify()
  if not ok then
    error(result, 0)
  end
  return entry
end

--- Read an archive and check all of it: that it is not truncated, that every layer, manifest and
-- config is there and is what its digest says, and that no path leads out of it. It is read again
-- only when the file has changed.
-- @param path string
-- @param options table or nil: platform ("linux/amd64": of images for several, which)
-- @return archive: path, format ("docker", "oci"), compression, images (list of {id, tags, os,
--   architecture, layers = list of {diff_id, chain_id, entry}}); or nil, message, code
function M.read(path, options)
  local platform = options and options.platform or "linux/amd64"
  local stat, message, code = sys.stat(path)
  if not stat then
    return nil, message, code
  end
  local entry = known[path]
  if not entry or entry.size ~= stat.size or entry.mtime ~= stat.mtime
    or entry.platform ~= platform then
    entry = remember(path, stat, platform)
  end
  while not entry.result do
    local ok
    ok, message, code = entry.done:wait()
    if not ok then
      return nil, message, code
    end
  end
  if not entry.result.read then
    return nil, entry.result.message, entry.result.code
  end
  return own(entry.result.read, path)
end

--- What of archives must travel to a host; see kb.images.plan.
-- @param archives archive or list of archives: several travel as one stream, shared layers once
-- @param have table: runtime ("docker" or "containerd"), images (by id, the list of their names),
--   chains (docker: set of chain ids), blobs (containerd: set of digests), staged (digest -> bytes)
-- @return plan
function M.plan(archives, have)
  return plan_of.make(archives.images and { archives } or archives, have)
end

return M
