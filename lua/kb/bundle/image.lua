--- Images in a bundle: taken apart into blobs, and read from them again.
-- Layers are gzip, which docker and containerd of all versions read; the config, and so the image's
-- id, stays what it was.
local archive_of = require "kb.images.archive"
local bundle = require "kb.bundle"
local crypto = require "kb.core.crypto"
local data = require "kb.data"
local json = require "kb.json"
local reference = require "kb.images.reference"
local source_of = require "kb.images.source"
local store = require "kb.bundle.store"
local sys = require "kb.core.sys"
local zlib = require "kb.core.zlib"
local zstd = require "kb.core.zstd"

local M = {}

local CHUNK, FEED = 1 << 18, 1 << 16
local OCI = "application/vnd.oci.image."

-- The bytes of an entry as they are in the archive.
local function raw(source, entry)
  local left = entry.size
  return function()
    if left == 0 then
      return nil
    end
    local piece, message, code = source:read(math.min(left, CHUNK))
    if not piece then
      return nil, message, code
    elseif piece == "" then
      return nil, "the archive has become shorter", "EINVAL"
    end
    left = left - #piece
    return piece
  end
end

local function from_zstd(pieces)
  local decompressor = zstd.decompressor()
  return function()
    while true do
      local plain, message, code = decompressor:take(CHUNK)
      if not plain or plain ~= "" then
        return plain, message, code
      end
      local piece
      piece, message, code = pieces()
      if not piece then
        return nil, message, code
      end
      decompressor:give(piece)
    end
  end
end

local function to_gzip(pieces)
  local compressor, piece, from = zlib.compressor(), "", 1
  return function()
    if not compressor then
      return nil
    end
    if from > #piece then
      local message, code
      piece, message, code = pieces()
      from = 1
      if message then
        return nil, message, code
      elseif not piece then
        local last = compressor:finish()
        compressor = nil
        return last
      end
    end
    from = from + FEED
    return compressor:feed(piece:sub(from - FEED, from - 1))
  end
end

local function as_gzip(source, entry)
  local pieces = raw(source, entry)
  if entry.compression == "gzip" then
    return pieces
  end
  return to_gzip(entry.compression == "zstd" and from_zstd(pieces) or pieces)
end

-- Write the layers of all images; a compressed archive can be read in its order only.
local function write_layers(dir, archive, made)
  local layers, source <close>, message, code = {}, source_of.open(archive.path)
  if not source then
    return nil, message, code
  end
  for _, image in ipairs(archive.images) do
    for _, layer in ipairs(image.layers) do
      if not made[layer.diff_id] then
        made[layer.diff_id] = {}
        layers[#layers + 1] = layer
      end
    end
  end
  table.sort(layers, function(a, b)
    return a.entry.offset < b.entry.offset
  end)
  for _, layer in ipairs(layers) do
    local skipped
    skipped, message, code = source:skip(layer.entry.offset - source.at)
    local blob
    if skipped then
      blob, message, code = store.add(dir, as_gzip(source, layer.entry))
    end
    if not blob then
      return nil, message, code
    end
    made[layer.diff_id] = blob
  end
  return true
end

local function descriptor(kind, digest, size)
  return data.map { { "mediaType", OCI .. kind }, { "digest", "sha256:" .. digest },
    { "size", size } }
end

-- The manifest depends on config and layers alone, so that an image from an archive and the same
-- one from a registry are the same item.
local function manifest_of(config, layers)
  local list = data.list {}
  for i, blob in ipairs(layers) do
    list[i] = descriptor("layer.v1.tar+gzip", blob.sha256, blob.size)
  end
  return json.encode(data.map { { "schemaVersion", 2 }, { "mediaType", OCI .. "manifest.v1+json" },
    { "config", descriptor("config.v1+json", config.sha256, config.size) }, { "layers", list } },
    { compact = true })
end

local function item_of(dir, image, made)
  local config, message, code = store.add_text(dir, image.config.text)
  if not config then
    return nil, message, code
  end
  local blobs, layers = { config }, {}
  for i, layer in ipairs(image.layers) do
    layers[i] = made[layer.diff_id]
    blobs[i + 1] = made[layer.diff_id]
  end
  local manifest
  manifest, message, code = store.add_text(dir, manifest_of(config, layers))
  if not manifest then
    return nil, message, code
  end
  return { kind = "image", arch = image.architecture, id = image.id, sha256 = manifest.sha256,
    size = manifest.size, blobs = blobs }
end

--- Take the images of an archive apart into blobs.
-- @param dir string: the bundle
-- @param archive archive from kb.images
-- @return list of items, one for each name of an image (and one without a name for an image that
--   has none), without source; or nil, message, code
function M.split(dir, archive)
  local made, items = {}, {}
  local ok, message, code = write_layers(dir, archive, made)
  if not ok then
    return nil, message, code
  end
  for _, image in ipairs(archive.images) do
    local item
    item, message, code = item_of(dir, image, made)
    if not item then
      return nil, message, code
    end
    for _, tag in ipairs(#image.tags > 0 and image.tags or { false }) do
      local named = {}
      for field, value in pairs(item) do
        named[field] = value
      end
      named.name = tag and reference.short(tag) or nil
      named.version = tag and reference.tag(tag) or nil
      items[#items + 1] = named
    end
  end
  return items
end

-- A small blob, read and compared with its name.
local function text_of(dir, sha256)
  local path = bundle.blob(dir, sha256)
  local text, message, code = sys.read_file(path)
  if not text then
    return nil, message, code
  elseif crypto.digest("sha256", text) ~= sha256 then
    return nil, ("%s is damaged: kbrun bundle verify %s tells what is"):format(path, dir), "EBADMSG"
  end
  local value
  value, message, code = json.decode(text, { name = path })
  if value == nil then
    return nil, message, code
  end
  return { text = text, size = #text, digest = "sha256:" .. sha256 }, value
end

-- A layer as kb.images.plan takes it: the whole of a file that is not to be decompressed.
local function layer_of(dir, blob, diff_id, chain_id)
  local path = bundle.blob(dir, blob.digest:sub(8))
  local stat, message, code = sys.stat(path)
  if not stat then
    return nil, message, code
  end
  return { diff_id = diff_id, chain_id = chain_id,
    entry = { digest = blob.digest, size = blob.size, offset = 0, compression = "gzip" },
    archive = { path = path, size = stat.size, mtime = stat.mtime, raw = true } }
end

--- Read an image of a bundle.
-- @param dir string: the bundle
-- @param item table
-- @return image as kb.images has them (id, tags, os, architecture, config, manifest, layers); or
--   nil, message, code
function M.read(dir, item)
  local manifest_blob, manifest, code = text_of(dir, item.sha256)
  if not manifest_blob then
    return nil, manifest, code
  end
  local config_blob, config
  config_blob, config, code = text_of(dir, item.id:sub(8))
  if not config_blob then
    return nil, config, code
  end
  local image = { id = item.id, tags = { reference.full(item.name) }, os = config.os,
    architecture = config.architecture, config = config_blob, manifest = manifest_blob,
    media_type = manifest.mediaType, layers = {} }
  local diff_ids = config.rootfs.diff_ids
  local chains = archive_of.chain_ids(diff_ids)
  for i, blob in ipairs(manifest.layers) do
    local message
    image.layers[i], message, code = layer_of(dir, blob, diff_ids[i], chains[i])
    if not image.layers[i] then
      return nil, message, code
    end
  end
  return image
end

--- Images of a bundle as an archive that `kb.images.plan` takes.
-- @param dir string: the bundle
-- @param items list: of kind image
-- @return archive; or nil, message, code
function M.archive(dir, items)
  local archive = { path = dir, format = "bundle", images = {} }
  for i, item in ipairs(items) do
    local image, message, code = M.read(dir, item)
    if not image then
      return nil, message, code
    end
    image.archive, archive.images[i] = archive, image
  end
  return archive
end

return M
