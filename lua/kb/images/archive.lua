--- Image archives as docker and the Open Container Initiative write them, read and judged: which
-- images they hold, of which layers, and whether all of it is what it says it is.
local crypto = require "kb.core.crypto"
local data = require "kb.data"
local index_of = require "kb.images.index"
local json = require "kb.json"
local reference = require "kb.images.reference"

local M = {}

local function fail(...)
  return nil, (...):format(select(2, ...)), "EINVAL"
end

local function decode(entry, path)
  if not entry then
    return fail("%s is missing", path)
  elseif not entry.text then
    return fail("%s is no JSON", path)
  end
  local value, message = json.decode(entry.text, { name = path })
  if value == nil then
    return nil, message, "EINVAL"
  end
  return value
end

-- A field of JSON that may be null or absent, of one kind.
local function list_of(value)
  return data.kind(value) == "list" and value or {}
end

local function map_of(value)
  return data.kind(value) == "map" and value or {}
end

--- The ids of the chains of layers, as docker counts them: each depends on all layers below.
-- @param diff_ids list of strings: "sha256:..."
-- @return list of strings
function M.chain_ids(diff_ids)
  local chains = {}
  for i, diff_id in ipairs(diff_ids) do
    chains[i] = i == 1 and diff_id
      or "sha256:" .. crypto.digest("sha256", chains[i - 1] .. " " .. diff_id)
  end
  return chains
end

local function decode_map(entry, path)
  local value, message, code = decode(entry, path)
  if value ~= nil and data.kind(value) ~= "map" then
    return fail("%s: an object was expected", path)
  end
  return value, message, code
end

local function text_of(value)
  return type(value) == "string" and value or nil
end

-- Full names from a list of JSON.
local function names_of(list)
  local names = {}
  for _, name in ipairs(list_of(list)) do
    names[#names + 1] = text_of(name) and reference.full(name)
  end
  return names
end

-- The layers of an image: what the config says they are, and the entries that must be just that.
local function layers_of(config, entries, paths)
  local diff_ids = list_of(map_of(config.rootfs).diff_ids)
  for i, diff_id in ipairs(diff_ids) do
    if type(diff_id) ~= "string" then
      return fail("the config names no digest for layer %d of %d", i, #diff_ids)
    end
  end
  if #diff_ids ~= #entries then
    return fail("the config names %d layers, the manifest %d", #diff_ids, #entries)
  end
  local layers, chains = {}, M.chain_ids(diff_ids)
  for i, diff_id in ipairs(diff_ids) do
    local entry = entries[i]
    if not entry then
      return fail("layer %d of %d is missing (%s)", i, #diff_ids, paths[i])
    elseif entry.plain_digest ~= diff_id then
      return fail("layer %d of %d (%s) is %s, but should be %s", i, #diff_ids, paths[i],
        entry.plain_digest, diff_id)
    end
    layers[i] = { diff_id = diff_id, chain_id = chains[i], entry = entry }
  end
  return layers
end

local function image_of(config_entry, config, layers, tags)
  return { id = config_entry.digest, config = config_entry, layers = layers, tags = tags,
    architecture = text_of(config.architecture), os = text_of(config.os) }
end

-- What a name made of a digest promises.
local function promised(path)
  local hex = path:match("(%x+)%.json$") or path:match("sha256/(%x+)$")
  return hex and #hex == 64 and "sha256:" .. hex or nil
end

local function docker_image(index, record)
  local path = record.Config
  if type(path) ~= "string" then
    return fail("manifest.json: an image without a Config")
  end
  local entry = index_of.find(index, path)
  local config, message, code = decode_map(entry, path)
  if not config then
    return nil, message, code
  end
  if promised(path) and promised(path) ~= entry.digest then
    return fail("the config %s is %s", path, entry.digest)
  end
  local entries, paths = {}, list_of(record.Layers)
  for i, layer in ipairs(paths) do
    if type(layer) ~= "string" then
      return fail("manifest.json: layer %d of %d has no path", i, #paths)
    end
    entries[i] = index_of.find(index, layer) or false
  end
  local layers
  layers, message, code = layers_of(config, entries, paths)
  if not layers then
    return nil, message, code
  end
  return image_of(entry, config, layers, names_of(record.RepoTags))
end

local function docker_images(index)
  local records, message, code = decode(index_of.find(index, "manifest.json"), "manifest.json")
  if not records then
    return nil, message, code
  end
  local images = {}
  for i, record in ipairs(list_of(records)) do
    images[i], message, code = docker_image(index, map_of(record))
    if not images[i] then
      return nil, message, code
    end
  end
  if #images == 0 then
    return fail("it has no image: manifest.json lists none")
  end
  return images
end

local INDEX_TYPES = { ["application/vnd.oci.image.index.v1+json"] = true,
  ["application/vnd.docker.distribution.manifest.list.v2+json"] = true }

local function blob_path(digest)
  return "blobs/" .. tostring(text_of(digest)):gsub(":", "/", 1)
end

-- The blob that a descriptor speaks of.
local function blob(index, descriptor, what)
  descriptor = map_of(descriptor)
  local path = blob_path(descriptor.digest)
  local entry = index_of.find(index, path)
  if not entry then
    return fail("%s is missing (%s)", what, path)
  elseif entry.digest ~= descriptor.digest then
    return fail("%s (%s) is %s", what, path, entry.digest)
  elseif descriptor.size and entry.size ~= descriptor.size then
    return fail("%s (%s) has %d bytes, but should have %s", what, path, entry.size,
      tostring(descriptor.size))
  end
  return entry
end

-- containerd's annotation has the whole name, the standard's may be the tag alone.
local function names_in(descriptor)
  local notes = map_of(descriptor.annotations)
  local name = notes["io.containerd.image.name"] or notes["org.opencontainers.image.ref.name"]
  return type(name) == "string" and name:find("[/:]") and { reference.full(name) } or {}
end

local function oci_image(index, descriptor)
  local entry, message, code = blob(index, descriptor, "a manifest")
  if not entry then
    return nil, message, code
  end
  local manifest, config, config_entry
  manifest, message, code = decode_map(entry, entry.name)
  if manifest then
    config_entry, message, code = blob(index, manifest.config, "a config")
  end
  if config_entry then
    config, message, code = decode_map(config_entry, config_entry.name)
  end
  if not config then
    return nil, message, code
  end
  local entries, paths = {}, {}
  for i, layer in ipairs(list_of(manifest.layers)) do
    entries[i], message, code = blob(index, layer, ("layer %d of %d"):format(i, #manifest.layers))
    if not entries[i] then
      return nil, message, code
    end
    paths[i] = entries[i].name
  end
  local layers
  layers, message, code = layers_of(config, entries, paths)
  if not layers then
    return nil, message, code
  end
  local image = image_of(config_entry, config, layers, names_in(descriptor))
  image.manifest = entry
  image.media_type = text_of(descriptor.mediaType) or text_of(manifest.mediaType)
  return image
end

local function is_for(descriptor, platform)
  local own = map_of(descriptor.platform)
  if not own.os and not own.architecture then
    return true
  end
  return ("%s/%s"):format(own.os, own.architecture) == platform
end

-- Collect the descriptors of manifests for the platform, through indexes in the index. An index in
-- it is one image: of its manifests the first that fits is meant, others are variants.
local function manifests_of(index, list, platform, found, inherited)
  for _, descriptor in ipairs(list_of(list)) do
    descriptor = map_of(descriptor)
    local is_index = INDEX_TYPES[descriptor.mediaType]
    if is_index then
      local entry, message, code = blob(index, descriptor, "an index")
      local inner
      if entry then
        inner, message, code = decode_map(entry, entry.name)
      end
      local ok = inner
      if inner then
        ok, message, code = manifests_of(index, inner.manifests, platform, found,
          #names_in(descriptor) > 0 and descriptor or inherited or descriptor)
      end
      if not ok then
        return nil, message, code
      end
    elseif is_for(descriptor, platform) then
      found[#found + 1] = { descriptor = descriptor, named_by = inherited or descriptor }
      if inherited then
        break
      end
    end
  end
  return true
end

-- One image may be named several times: one descriptor for each name.
local function add_image(images, by_id, image, names)
  local known = by_id[image.id]
  if not known then
    by_id[image.id], images[#images + 1], known = image, image, image
  end
  for _, name in ipairs(names) do
    local there = false
    for _, tag in ipairs(known.tags) do
      there = there or tag == name
    end
    if not there then
      known.tags[#known.tags + 1] = name
    end
  end
end

-- docker of today writes both forms; the names are then in manifest.json.
local function names_of_docker(index, by_id)
  local records = decode(index_of.find(index, "manifest.json"), "manifest.json")
  for _, record in ipairs(list_of(records)) do
    record = map_of(record)
    local entry = index_of.find(index, tostring(text_of(record.Config)))
    local image = entry and by_id[entry.digest]
    if image then
      add_image({}, by_id, image, names_of(record.RepoTags))
    end
  end
end

local function oci_images(index, platform)
  local top, message, code = decode_map(index["index.json"], "index.json")
  if not top then
    return nil, message, code
  end
  local found, images, by_id = {}, {}, {}
  local ok
  ok, message, code = manifests_of(index, top.manifests, platform, found)
  if not ok then
    return nil, message, code
  end
  for _, one in ipairs(found) do
    local image
    image, message, code = oci_image(index, one.descriptor)
    if not image then
      return nil, message, code
    end
    add_image(images, by_id, image, names_in(one.named_by))
  end
  if #found == 0 then
    return fail("it has no image for %s", platform)
  end
  names_of_docker(index, by_id)
  return images
end

-- Every blob's name is its digest, also of those that no manifest names.
local function check_blobs(index)
  for path, entry in pairs(index) do
    local want = path:match("^blobs/sha256/%x+$") and promised(path)
    if want and entry.digest and entry.digest ~= want then
      return fail("%s is %s", path, entry.digest)
    end
  end
  return true
end

--- Read what an archive holds and check that it is whole: every name of a digest is kept, and no
-- layer is missing.
-- @param source source of the archive
-- @param platform string: "linux/amd64": of several, the images for it
-- @return table: format ("docker" or "oci"), images; or nil, message, "EINVAL". An image: id (its
--   config's digest), tags (full names), os, architecture, config (entry), manifest (entry, of
--   OCI), layers (list of {diff_id, chain_id, entry}).
function M.read(source, platform)
  local index, message, code = index_of.read(source)
  if not index then
    return nil, message, code
  end
  local ok
  ok, message, code = check_blobs(index)
  if not ok then
    return nil, message, code
  end
  local format = index["index.json"] and "oci" or index["manifest.json"] and "docker"
  if not format then
    return fail("it is no image archive: it has neither manifest.json nor index.json")
  end
  local images
  if format == "oci" then
    images, message, code = oci_images(index, platform)
  else
    images, message, code = docker_images(index)
  end
  if not images then
    return nil, message, code
  end
  return { format = format, images = images }
end

return M
