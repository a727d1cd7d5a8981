--- Images from registries, by skopeo, which leaves configs and layers as they are.
local crypto = require "kb.core.crypto"
local data = require "kb.data"
local image_of = require "kb.bundle.image"
local images = require "kb.images"
local json = require "kb.json"
local program = require "kb.bundle.program"
local reference = require "kb.images.reference"
local sys = require "kb.core.sys"

local M = {}

-- Where skopeo looks for the rules by which it trusts images; without any it refuses all.
local function has_policy()
  return sys.stat(sys.self().home .. "/.config/containers/policy.json")
    or sys.stat("/etc/containers/policy.json")
end

local function copy(from, to, wanted, options)
  local argv = { "skopeo" }
  if not has_policy() then
    argv[2] = "--insecure-policy"
  end
  local rest = { "--override-os", "linux", "--override-arch", options.arch, "copy", "--quiet",
    "--retry-times", "2" }
  table.move(rest, 1, #rest, #argv + 1, argv)
  if wanted.insecure then
    argv[#argv + 1] = "--src-tls-verify=false"
  end
  argv[#argv + 1] = "docker://" .. from
  argv[#argv + 1] = "dir:" .. to
  return program.run(argv, { env = { SSL_CERT_FILE = options.ca } })
end

local function remove(path)
  return program.run { "rm", "-rf", "--", path }
end

local function hex(descriptor)
  return descriptor.digest:match("^sha256:(%x+)$")
end

-- What skopeo has copied as an archive of `docker save`, which may have layers in gzip: OCI's form
-- would need a config in OCI's words, and so another id.
local function pack(layout, name)
  local text, message, code = sys.read_file(layout .. "/manifest.json")
  local manifest
  if text then
    manifest, message, code = json.decode(text, { name = layout .. "/manifest.json" })
  end
  if not manifest then
    return nil, message, code
  elseif not manifest.config or not manifest.layers then
    return nil, "its manifest is of a kind that is not known: " .. tostring(manifest.mediaType),
      "EINVAL"
  end
  local layers, files = data.list {}, { hex(manifest.config) }
  for i, layer in ipairs(manifest.layers) do
    layers[i] = hex(layer)
    files[#files + 1] = layers[i]
  end
  local ok
  ok, message, code = sys.write_file(layout .. "/manifest.json", json.encode(data.list { data.map {
    { "Config", files[1] }, { "RepoTags", data.list { name } }, { "Layers", layers } } }))
  if not ok then
    return nil, message, code
  end
  local tar = layout .. ".tar"
  ok, message, code = program.run(table.move(files, 1, #files, 7,
    { "tar", "-cf", tar, "-C", layout, "manifest.json" }))
  return ok and tar, message, code
end

-- The item of what skopeo has copied.
local function take(dir, layout, wanted, arch)
  local tar, message, code = pack(layout, reference.full(wanted.name))
  if not tar then
    return nil, message, code
  end
  local archive
  archive, message, code = images.read(tar, { platform = "linux/" .. arch })
  local items
  if archive then
    items, message, code = image_of.split(dir, archive)
  end
  sys.remove(tar)
  if items and items[1].arch ~= arch then
    return nil, ("it is for %s, not for %s"):format(items[1].arch, arch), "EINVAL"
  end
  return items and items[1], message, code
end

--- Fetch an image into a bundle's blobs.
-- @param dir string: the bundle
-- @param wanted table: name; from (list of names at registries, tried in turn); insecure
-- @param options table: arch; ca (a file of certificates instead of the system's); id (that it must
--   have)
-- @return item; or nil, message (what each registry said), code
function M.fetch(dir, wanted, options)
  local said, last, id = {}, nil, options.id
  for _, from in ipairs(wanted.from) do
    local layout = ("%s/parts/image-%s"):format(dir, crypto.digest("sha256", from):sub(1, 16))
    local ok, message, code = copy(from, layout, wanted, options)
    local item
    if ok then
      item, message, code = take(dir, layout, wanted, options.arch)
    end
    remove(layout)
    if item and id and item.id ~= id then
      message, code = ("it has the id %s, but %s is pinned"):format(item.id, id), "EBADMSG"
    elseif item then
      item.source = "docker://" .. from
      return item
    end
    said[#said + 1] = ("%s: %s"):format(from, message)
    last = code
  end
  return nil, table.concat(said, "\n"), last
end

return M
