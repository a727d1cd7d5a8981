-- Images from a real registry by skopeo: Debian's docker-registry on the loopback, with TLS of an
-- authority of its own.
local test = ...
local bundle = require "kb.bundle"
local check = require "lib.check"
local declaration = require "kb.bundle.declaration"
local imagefile = require "lib.imagefile"
local make = require "kb.bundle.make"
local registry = require "lib.registry"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"

local function apply(dir, map, repin)
  local plan = check.ok(make.plan(dir.path .. "/bundle",
    check.ok(declaration.check(map, "declared", dir.path)), { repin = repin }))
  return #plan.todo, select(2, make.apply(plan))
end

local function item_of(dir, name)
  for _, item in ipairs(check.ok(bundle.load(dir.path .. "/bundle")).items) do
    if item.name == name then
      return item
    end
  end
end

test("an image comes from a registry once, from the mirror that has it, and is pinned", function()
  local dir <close> = scratch()
  local address, server = registry.start(dir)
  local _ <close> = server
  local base = imagefile.layer("base", 300000)
  local id = registry.push(dir, address, "lab/web:1.0", { base, imagefile.layer "one" })
  local map = { ca = "ca.pem", images = { { name = "k8s.gcr.io/web:1.0",
    from = { address .. "/none/web:1.0", address .. "/lab/web:1.0" } } } }
  check.equal({ apply(dir, map) }, { 1 })
  local item = item_of(dir, "k8s.gcr.io/web:1.0")
  check.equal({ item.id, item.arch, item.version, item.source },
    { id, "amd64", "1.0", "docker://" .. address .. "/lab/web:1.0" })
  check.equal(bundle.has(dir.path .. "/bundle", item), true)
  check.equal({ apply(dir, map) }, { 0 })
  local other = registry.push(dir, address, "lab/web:1.0", { base, imagefile.layer "two" })
  check.equal({ apply(dir, map) }, { 0 }, "the tag has moved, the pin has not")
  check.ok(sys.remove(bundle.blob(dir.path .. "/bundle", item.sha256)))
  local _, message = apply(dir, map)
  check.contains(message, ("it has the id %s, but %s is pinned"):format(other, id))
  check.equal({ apply(dir, map, { "k8s.gcr.io/web:1.0" }) }, { 1 })
  local new = item_of(dir, "k8s.gcr.io/web:1.0")
  check.equal({ new.id, new.blobs[2].sha256 }, { other, item.blobs[2].sha256 })
end)

test("a registry that cannot be trusted is refused, unless that is asked for", function()
  local dir <close> = scratch()
  local address, server = registry.start(dir)
  local _ <close> = server
  local id = registry.push(dir, address, "lab/web:1.0", { imagefile.layer "one" })
  local map = { images = { { name = address .. "/lab/web:1.0" } } }
  local _, message = apply(dir, map)
  check.contains(message, "certificate")
  map.images[1].insecure = true
  check.equal({ apply(dir, map) }, { 1 })
  check.equal(item_of(dir, address .. "/lab/web:1.0").id, id)
end)
