--- Bundles: directories that hold all that machines without internet need, addressed by content.
--
--     DIR/bundle.yaml            what is in it: version 1, and a list of items
--     DIR/blobs/sha256/<hex>     the contents
--     DIR/parts/                 what a run that was stopped has fetched so far
--
-- An item has kind, name, version, arch, source (where it came from), size and sha256, and by kind:
-- deb and file: `file`, the name it has on a host; image: `id` (the digest of its config) and
-- `blobs` (its config and layers), sha256 and size being those of its OCI manifest. Beside version
-- and items there may be `closure`: which request for packages (`request`, a digest) gave which of
-- them (`debs`, the files), so that the same request need not be answered again.
local data = require "kb.data"
local sys = require "kb.core.sys"
local yaml = require "kb.yaml"

local M = {}

--- The version of the format.
M.VERSION = 1

local FIELDS = { "kind", "name", "version", "arch", "source", "file", "id", "size", "sha256",
  "blobs" }
local KINDS = { deb = "file", file = "file", image = "id" } -- and what each must have besides

--- Where a bundle says what it holds.
-- @param dir string
-- @return string
function M.path(dir)
  return dir .. "/bundle.yaml"
end

--- Where a blob of a bundle is.
-- @param dir string
-- @param sha256 string
-- @return string
function M.blob(dir, sha256)
  return ("%s/blobs/sha256/%s"):format(dir, sha256)
end

local function is_digest(text)
  return type(text) == "string" and #text == 64 and not text:find("[^0-9a-f]")
end

-- What is wrong with a blob's description: the key, and what was expected.
local function blob_fault(blob)
  if data.kind(blob) ~= "map" then
    return nil, "a map with sha256 and size was expected"
  elseif not is_digest(blob.sha256) then
    return "sha256", "64 hexadecimal digits were expected, in lower case"
  elseif math.type(blob.size) ~= "integer" or blob.size < 0 then
    return "size", "a number of bytes was expected"
  end
end

local function blobs_fault(list)
  if data.kind(list) ~= "list" then
    return "blobs", "a list of config and layers was expected"
  end
  for i, blob in ipairs(list) do
    local key, message = blob_fault(blob)
    if message then
      return "blobs", ("entry %d%s: %s"):format(i, key and ", " .. key or "", message)
    end
  end
end

local function item_fault(item)
  if data.kind(item) ~= "map" then
    return nil, "an item was expected: a map with kind, name, size and sha256"
  end
  local needs = KINDS[item.kind]
  if not needs then
    return "kind", "deb, image or file was expected"
  elseif type(item.name) ~= "string" or item.name == "" then
    return "name", "a text was expected"
  elseif type(item[needs]) ~= "string" then
    return needs, "a text was expected"
  elseif needs == "file" and (item.file:find("/", 1, true) or item.file:find("^%.")) then
    return needs, "a plain name was expected, without directories"
  elseif needs == "id" and not is_digest(item.id:match("^sha256:(.*)$")) then
    return needs, "sha256: and 64 hexadecimal digits were expected"
  end
  local key, message = blob_fault(item)
  if not message and item.kind == "image" then
    key, message = blobs_fault(item.blobs)
  end
  return key, message
end

local function at_fault(path, collection, key, message)
  local _, line = yaml.position(collection, key)
  if not line then
    _, line = yaml.position(collection) -- where the key should have been
  end
  return nil, ("%s%s: %s%s"):format(path, line and ":" .. line or "",
    key and key .. ": " or "", message), "EINVAL"
end

local function check(manifest, path)
  if data.kind(manifest) ~= "map" or data.kind(manifest.items) ~= "list" then
    return nil, path .. ": this is no bundle.yaml: it has no list of items", "EINVAL"
  elseif manifest.version ~= M.VERSION then
    return nil, ("%s: version %s was expected: make the bundle again"):format(path, M.VERSION),
      "EINVAL"
  end
  local closure = manifest.closure
  if closure ~= nil and (data.kind(closure) ~= "map" or not is_digest(closure.request)
    or data.kind(closure.debs) ~= "list") then
    return at_fault(path, manifest, "closure", "a map with request and debs was expected")
  end
  for i, item in ipairs(manifest.items) do
    local key, message = item_fault(item)
    if message then
      return at_fault(path, key and item or manifest.items, key or i, message)
    end
  end
  return manifest
end

--- Read what a bundle holds; the blobs themselves are not looked at.
-- @param dir string
-- @return map: version, items; or nil, message, code ("ENOENT": there is none yet)
function M.load(dir)
  local path = M.path(dir)
  local manifest, message, code = yaml.load_file(path)
  if not manifest then
    return nil, message, code
  end
  return check(manifest, path)
end

local function in_order(a, b)
  if a.kind ~= b.kind then
    return a.kind < b.kind
  elseif a.name ~= b.name then
    return a.name < b.name
  end
  return tostring(a.version) < tostring(b.version)
end

-- Fields in the order in which people look for them.
local function written(item)
  local map = data.map()
  for _, field in ipairs(FIELDS) do
    if field == "blobs" and item.blobs then
      local list = data.list {}
      for i, blob in ipairs(item.blobs) do
        list[i] = data.map { { "sha256", blob.sha256 }, { "size", blob.size } }
      end
      map.blobs = list
    else
      map[field] = item[field]
    end
  end
  return map
end

--- Write what a bundle holds, whole or not at all. The same items give the same text.
-- @param dir string
-- @param items list
-- @param closure table or nil: request, debs
-- @return true; or nil, message, code
function M.save(dir, items, closure)
  local sorted = table.move(items, 1, #items, 1, data.list {})
  table.sort(sorted, in_order)
  for i, item in ipairs(sorted) do
    sorted[i] = written(item)
  end
  local manifest = data.map { { "version", M.VERSION }, { "items", sorted } }
  if closure then
    local debs = table.move(closure.debs, 1, #closure.debs, 1, data.list {})
    table.sort(debs)
    manifest.closure = data.map { { "request", closure.request }, { "debs", debs } }
  end
  return sys.write_file(M.path(dir), yaml.dump(manifest, { flow = "leaves" }),
    tonumber("644", 8))
end

--- All blobs that an item needs.
-- @param item table
-- @return list of { sha256, size }
function M.blobs_of(item)
  local list = { { sha256 = item.sha256, size = item.size } }
  return table.move(item.blobs or {}, 1, #(item.blobs or {}), 2, list)
end

--- The blobs of items, each once.
-- @param dir string: the bundle
-- @param items list
-- @return list of { sha256, size, file }, file being where it is in the bundle
function M.blobs(dir, items)
  local list, seen = {}, {}
  for _, item in ipairs(items) do
    for _, blob in ipairs(M.blobs_of(item)) do
      if not seen[blob.sha256] then
        seen[blob.sha256] = true
        list[#list + 1] = { sha256 = blob.sha256, size = blob.size,
          file = M.blob(dir, blob.sha256) }
      end
    end
  end
  return list
end

--- Whether all blobs of an item are there, in the right size.
-- @param dir string
-- @param item table
-- @return boolean
function M.has(dir, item)
  for _, blob in ipairs(M.blobs_of(item)) do
    local stat = sys.stat(M.blob(dir, blob.sha256))
    if not stat or stat.kind ~= "file" or stat.size ~= blob.size then
      return false
    end
  end
  return true
end

return M
