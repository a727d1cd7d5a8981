--- What of image archives must travel to a host, and the stream that carries it.
local crypto = require "kb.core.crypto"
local data = require "kb.data"
local json = require "kb.json"
local localfile = require "kb.localfile"
local reference = require "kb.images.reference"
local source_of = require "kb.images.source"
local tar = require "kb.tar"
local zstd = require "kb.core.zstd"

local M = {}

local CHUNK = 1 << 18
local OCI = "application/vnd.oci.image."

local layer_types = { none = OCI .. "layer.v1.tar", gzip = OCI .. "layer.v1.tar+gzip",
  zstd = OCI .. "layer.v1.tar+zstd" }

local function encode(value)
  return json.encode(value, { compact = true })
end

-- A file of the stream: its text, or the entry whose content it is.
local function add(files, seen, path, content)
  if not seen[path] then
    seen[path] = true
    content.path = path
    files[#files + 1] = content
  end
end

local function hex(digest)
  return digest:match(":(%x+)$")
end

-- Whether the host has the content as a file, from which its own end of the stream is fed.
local function is_staged(entry, have)
  return have.staged[entry.digest] == entry.size
end

-- docker reads zstd only since 23.0, gzip always: zstd is decompressed on the way.
local function docker_layer(image, layer, have)
  local entry = layer.entry
  local plain = entry.compression == "zstd"
  return { archive = layer.archive or image.archive, entry = entry, plain = plain,
    staged = not plain and is_staged(entry, have), size = plain and entry.plain_size or entry.size }
end

-- docker looks for a layer by its chain, from the lowest up, and opens the file of the first that
-- it does not have; but the manifest names all of them.
local function docker_files(images, have)
  local files, seen, records = {}, {}, data.list {}
  for i, image in ipairs(images) do
    local names, tags, there = data.list {}, data.list {}, true
    for k, layer in ipairs(image.layers) do
      names[k] = hex(layer.diff_id) .. "/layer.tar"
      there = there and have.chains[layer.chain_id] or false
      if not there then
        add(files, seen, names[k], docker_layer(image, layer, have))
      end
    end
    for k, tag in ipairs(image.tags) do
      tags[k] = reference.short(tag)
    end
    local config = hex(image.id) .. ".json"
    add(files, seen, config, { text = image.config.text, size = #image.config.text })
    records[i] = data.map { { "Config", config }, { "RepoTags", tags }, { "Layers", names } }
  end
  local manifest = encode(records)
  table.insert(files, 1, { path = "manifest.json", text = manifest, size = #manifest })
  return files
end

-- The manifest of an image that came without one. Its bytes depend on the image alone, so that its
-- digest is the same in every run.
local function manifest_of(image)
  if image.manifest then
    return image.manifest.text, image.media_type
  end
  local layers = data.list {}
  for i, layer in ipairs(image.layers) do
    layers[i] = data.map { { "mediaType", layer_types[layer.entry.compression or "none"] },
      { "digest", layer.entry.digest }, { "size", layer.entry.size } }
  end
  return encode(data.map { { "schemaVersion", 2 }, { "mediaType", OCI .. "manifest.v1+json" },
    { "config", data.map { { "mediaType", OCI .. "config.v1+json" }, { "digest", image.id },
      { "size", image.config.size } } }, { "layers", layers } })
end

local function descriptor(text, media_type, name)
  local fields = { { "mediaType", media_type or OCI .. "manifest.v1+json" },
    { "digest", "sha256:" .. crypto.digest("sha256", text) }, { "size", #text } }
  if name then
    fields[4] = { "annotations", data.map { { "io.containerd.image.name", name },
      { "org.opencontainers.image.ref.name", reference.tag(name) } } }
  end
  return data.map(fields)
end

local function containerd_files(images, have)
  local files, seen, manifests = {}, {}, data.list {}
  local function add_blob(image, digest, content)
    image.blobs[#image.blobs + 1] = digest
    if not (have.blobs[digest] and content.entry) then
      add(files, seen, "blobs/sha256/" .. hex(digest), content)
    end
  end
  for _, image in ipairs(images) do
    image.blobs = {}
    local text, media_type = manifest_of(image)
    for _, name in ipairs(#image.tags > 0 and image.tags or { false }) do
      manifests[#manifests + 1] = descriptor(text, media_type, name)
    end
    add_blob(image, "sha256:" .. crypto.digest("sha256", text), { text = text, size = #text })
    add_blob(image, image.id, { text = image.config.text, size = image.config.size })
    for _, layer in ipairs(image.layers) do
      add_blob(image, layer.entry.digest, { archive = layer.archive or image.archive,
        entry = layer.entry, staged = is_staged(layer.entry, have), size = layer.entry.size })
    end
  end
  local layout = '{"imageLayoutVersion":"1.0.0"}'
  local index = encode(data.map { { "schemaVersion", 2 },
    { "mediaType", OCI .. "index.v1+json" }, { "manifests", manifests } })
  table.insert(files, 1, { path = "oci-layout", text = layout, size = #layout })
  table.insert(files, 2, { path = "index.json", text = index, size = #index })
  return files
end

local function missing_tags(image, have)
  local there, missing = {}, {}
  for _, name in ipairs(have.images[image.id] or {}) do
    there[reference.full(name)] = true
  end
  for _, tag in ipairs(image.tags) do
    missing[#missing + 1] = not there[tag] and tag or nil
  end
  return missing
end

local function add_tags(image, tags)
  local there = {}
  for _, tag in ipairs(image.tags) do
    there[tag] = true
  end
  for _, tag in ipairs(tags) do
    image.tags[#image.tags + 1] = not there[tag] and tag or nil
  end
end

-- Sort the images into those that must be sent, and names that must be given to those that are
-- there.
local function sort_images(archives, have)
  local send, names, present, seen = {}, {}, {}, {}
  for _, archive in ipairs(archives) do
    for _, image in ipairs(archive.images) do
      if seen[image.id] then
        add_tags(seen[image.id], image.tags)
      elseif not have.images[image.id] then
        send[#send + 1], seen[image.id] = image, image
      else
        present[#present + 1] = image
        for _, tag in ipairs(missing_tags(image, have)) do
          names[#names + 1] = { id = image.id, name = tag,
            existing = have.images[image.id][1] }
        end
      end
    end
  end
  return send, names, present
end

-- Archives that are compressed can be read in their order only. What the host has itself comes
-- first, layers that are files of their own come last, as they are.
local function in_order(files)
  local place = {}
  for i, file in ipairs(files) do
    place[file] = i
    file.rank = file.staged and -1 or file.entry and (file.archive.order or math.huge) or 0
  end
  table.sort(files, function(a, b)
    if a.rank ~= b.rank then
      return a.rank < b.rank
    elseif a.entry and a.entry.offset ~= b.entry.offset then
      return a.entry.offset < b.entry.offset
    end
    return place[a] < place[b]
  end)
  return files
end

local Plan = {}
Plan.__index = Plan

-- A piece of the archive's content of this file, until it ends.
local function pieces(source, file)
  local left = file.entry.size
  local decompressor = file.plain and zstd.decompressor()
  return function()
    while true do
      local plain, message, code = "", nil, nil
      if decompressor then
        plain, message, code = decompressor:take(CHUNK)
      end
      if not plain or plain ~= "" then
        return plain, message, code
      elseif left == 0 then
        return nil
      end
      local piece
      piece, message, code = source:read(math.min(left, CHUNK))
      if not piece then
        return nil, message, code
      elseif piece == "" then
        return nil, file.archive.path .. " has become shorter", "EINVAL"
      end
      left = left - #piece
      if not decompressor then
        return piece
      end
      decompressor:give(piece)
    end
  end
end

-- The archive opened where the content begins; one that changed since it was read is refused.
local function open_at(file, current)
  local archive = file.archive
  if current.archive ~= archive then
    if current.source then
      current.source:close()
    end
    local source, message, code = source_of.open(archive.path, archive.raw)
    if not source then
      return nil, message, code
    end
    current.archive, current.source = archive, source
    if source.size ~= archive.size or source.mtime ~= archive.mtime then
      return nil, archive.path .. " has changed since it was read", "EINVAL"
    end
  end
  local missing = file.entry.offset - current.source.at
  local skipped, message, code = current.source:skip(missing)
  if skipped and skipped < missing then
    return nil, archive.path .. " has become shorter", "EINVAL"
  end
  return skipped and current.source, message, code
end

local function header(file)
  return tar.header { path = file.path, kind = "file", mode = 420, mtime = 0, size = file.size }
end

local function send_file(file, current, give)
  give(header(file))
  if file.staged then
    return true
  elseif file.text then
    give(file.text)
  else
    local source, message, code = open_at(file, current)
    if not source then
      return nil, message, code
    end
    local next_piece = pieces(source, file)
    local piece
    repeat
      piece, message, code = next_piece()
      if piece then
        give(piece)
      elseif message then
        return nil, message, code
      end
    until not piece
  end
  give(tar.padding(file.size))
  return true
end

local Stream = {}
Stream.__index = Stream

--- Give back what the stream holds open; done at its end too.
function Stream:close()
  if self.current.source then
    self.current.source:close()
  end
  self.current = {}
end
Stream.__close = Stream.close

-- A step of the producer: the next chunk that is not empty.
function Stream:__call()
  while coroutine.status(self.producer) == "suspended" do
    local ok, chunk, message, code = coroutine.resume(self.producer)
    if not ok then
      self:close()
      error(chunk, 0)
    elseif chunk == nil then
      self:close()
      return nil, message, code
    elseif chunk ~= "" then
      return chunk
    end
  end
  return nil
end

--- See whether the files that are sent as they are, those of a bundle, are what their names say.
-- Archives were checked when they were read.
-- @return true; or nil, message, "EBADMSG"
-- @raise kb.err when one cannot be read
function Plan:check()
  for _, file in ipairs(self.files) do
    local archive = file.entry and not file.staged and file.archive
    if archive and archive.raw and "sha256:" .. localfile.digest(archive.path)
      ~= file.entry.digest then
      return nil, archive.path .. " is damaged: it is not what its name says", "EBADMSG"
    end
  end
  return true
end

--- The stream for the stdin of `docker load` or `ctr images import -`.
-- @return a value to call for chunk after chunk: a string; nil at the end; or nil, message, code,
--   after which what was sent must not be taken as whole. Close it when it is given up before its
--   end: `local stream <close> = plan:stream()`.
function Plan:stream()
  local current = {}
  local producer = coroutine.create(function()
    for _, file in ipairs(self.files) do
      local ok, message, code = send_file(file, current, coroutine.yield)
      if not ok then
        return nil, message, code
      end
    end
    coroutine.yield(tar.ending)
    return nil
  end)
  return setmetatable({ producer = producer, current = current }, Stream)
end

local function sum_up(plan)
  for _, file in ipairs(plan.files) do
    plan.bytes = plan.bytes + #header(file)
    if file.staged then
      plan.staged[#plan.staged + 1] = { digest = file.entry.digest, size = file.size,
        padding = #tar.padding(file.size) }
    else
      plan.bytes = plan.bytes + file.size + #tar.padding(file.size)
      plan.layers_sent = plan.layers_sent + (file.entry and 1 or 0)
    end
  end
  plan.bytes = plan.bytes + (#plan.files > 0 and #tar.ending or 0)
  local layers = {}
  for _, image in ipairs(plan.load) do
    for _, layer in ipairs(image.layers) do
      layers[layer.diff_id] = true
    end
  end
  for _ in pairs(layers) do
    plan.layers = plan.layers + 1
  end
  return plan
end

--- Work out what must travel.
-- @param archives list of archives from kb.images
-- @param have table: what the host has: runtime ("docker" or "containerd"), images (by id, the list
--   of their names), chains (docker: a set of chain ids), blobs (containerd: a set of digests) and
--   staged (contents that it has as files: digest -> bytes)
-- @return plan: load (list of images to send; for containerd with blobs, the digests of what each
--   consists of), present (list of images that are there), names (list
--   of {id, name, existing}: names to give to images that are there), layers (how many different
--   ones those to load have), layers_sent, bytes (the exact length of the stream, 0 for none),
--   staged (list of {digest, size, padding}: the host puts these contents, and so many zero bytes
--   more, behind the first headers of 512 bytes that the stream begins with, one behind each)
function M.make(archives, have)
  have = { runtime = have.runtime, images = have.images or {}, chains = have.chains or {},
    blobs = have.blobs or {}, staged = have.staged or {} }
  for i, archive in ipairs(archives) do
    archive.order = i
  end
  local plan = setmetatable({ files = {}, bytes = 0, layers = 0, layers_sent = 0, staged = {} },
    Plan)
  plan.load, plan.names, plan.present = sort_images(archives, have)
  if #plan.load > 0 then
    local files = have.runtime == "docker" and docker_files or containerd_files
    plan.files = in_order(files(plan.load, have))
  end
  return sum_up(plan)
end

return M
