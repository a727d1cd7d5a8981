--- Images from registries, by skopeo: what it has copied already it does not copy again.
local crypto = require "kb.core.crypto"
local image_of = require "kb.bundle.image"
local images = require "kb.images"
local program = require "kb.bundle.program"
local reference = require "kb.images.reference"
local sys = require "kb.core.sys"

local M = {}

-- Where skopeo looks for the rules by which it trusts images; without any it refuses all.
local function has_policy()
  return sys.stat(sys.self().home .. "/.config/containers/policy.json")
    or sys.stat("/etc/containers/policy.json")
end

local function copy(from, to, wanted, arch)
  local argv = { "skopeo" }
  if not has_policy() then
    argv[2] = "--insecure-policy"
  end
  local rest = { "--override-os", "linux", "--override-arch", arch, "copy", "--quiet",
    "--retry-times", "2" }
  table.move(rest, 1, #rest, #argv + 1, argv)
  if wanted.insecure then
    argv[#argv + 1] = "--src-tls-verify=false"
  end
  argv[#argv + 1] = "docker://" .. from
  argv[#argv + 1] = "oci:" .. to .. ":image"
  return program.run(argv)
end

local function remove(path)
  return program.run { "rm", "-rf", "--", path }
end

-- The item of what skopeo has copied.
local function take(dir, layout, wanted, arch)
  local tar = layout .. ".tar"
  local ok, message, code = program.run { "tar", "-cf", tar, "-C", layout, "." }
  if not ok then
    return nil, message, code
  end
  local archive
  archive, message, code = images.read(tar, { platform = "linux/" .. arch })
  local items
  if archive then
    items, message, code = image_of.split(dir, archive)
  end
  sys.remove(tar)
  if not items then
    return nil, message, code
  end
  local item = items[1]
  item.name = reference.short(wanted.name)
  item.version = reference.tag(wanted.name)
  return item
end

--- Fetch an image into a bundle's blobs.
-- @param dir string: the bundle
-- @param wanted table: name; from (list of names at registries, tried in turn); insecure
-- @param arch string
-- @param id string or nil: the id that it must have
-- @return item; or nil, message (what each registry said), code
function M.fetch(dir, wanted, arch, id)
  local said, last = {}, nil
  for _, from in ipairs(wanted.from) do
    local layout = ("%s/parts/image-%s"):format(dir, crypto.digest("sha256", from):sub(1, 16))
    local ok, message, code = copy(from, layout, wanted, arch)
    local item
    if ok then
      item, message, code = take(dir, layout, wanted, arch)
      remove(layout)
    end
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
