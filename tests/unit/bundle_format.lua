-- The bundle's format: what is written is read again, what is wrong in it is named, and images that
-- were taken apart come together as they were.
local test = ...
local bundle = require "kb.bundle"
local check = require "lib.check"
local images = require "kb.images"
local image_of = require "kb.bundle.image"
local make = require "lib.imagefile"
local program = require "lib.program"
local scratch = require "lib.scratch"
local store = require "kb.bundle.store"
local sys = require "kb.core.sys"

local A, B = ("a"):rep(64), ("b"):rep(64)

local function prepared()
  local dir = scratch()
  check.ok(store.prepare(dir.path))
  return dir
end

test("what is saved is loaded, in an order that does not depend on who came first", function()
  local dir <close> = prepared()
  local deb = { kind = "deb", name = "yes", version = "1:1.10", arch = "all", file = "yes_1.10.deb",
    source = "a.deb", size = 3, sha256 = A }
  local file = { kind = "file", name = "f", file = "f", size = 0, sha256 = B }
  local image = { kind = "image", name = "x:1", id = "sha256:" .. A, size = 3, sha256 = B,
    blobs = { { sha256 = A, size = 1 }, { sha256 = B, size = 2 } } }
  check.ok(bundle.save(dir.path, { image, file, deb }))
  local text = sys.read_file(bundle.path(dir.path))
  check.ok(bundle.save(dir.path, { deb, image, file }))
  check.equal(sys.read_file(bundle.path(dir.path)), text)
  local items = check.ok(bundle.load(dir.path)).items
  check.equal({ #items, items[1].version, items[1].name, items[2].kind }, { 3, "1:1.10", "yes",
    "file" })
  check.equal(items[3].blobs[2].size, 2)
  local blobs = bundle.blobs(dir.path, items)
  check.equal({ #blobs, blobs[1].file }, { 2, dir.path .. "/blobs/sha256/" .. A })
end)

local good = "{kind: file, name: f, file: f, size: 1, sha256: " .. A .. "}"

local faults = {
  { "version: 1\nitems: []", nil },
  { "items: []", "version 1 was expected" },
  { "version: 2\nitems: []", "version 1 was expected" },
  { "version: 1", "no list of items" },
  { "- 1", "no list of items" },
  { "version: 1\nitems:\n- " .. good .. "\n- 5", "bundle.yaml:4: 2: an item was expected" },
  { "version: 1\nitems:\n- " .. good:gsub("kind: file", "kind: disk"),
    "bundle.yaml:3: kind: deb, image or file was expected" },
  { "version: 1\nitems:\n- " .. good:gsub("size: 1", "size: -1"), "3: size: a number of bytes" },
  { "version: 1\nitems:\n- " .. good:gsub("a}", "A}"), "3: sha256: 64 hexadecimal digits" },
  { "version: 1\nitems:\n- " .. good:gsub("file: f,", "file: ../../etc/passwd,"),
    "3: file: a plain name was expected" },
  { "version: 1\nitems:\n- " .. good:gsub("file: f,", "file: .bashrc,"), "3: file: a plain name" },
  { "version: 1\nitems:\n- " .. good:gsub("name: f,", ""), "name: a text was expected" },
  { "version: 1\nitems:\n- " .. good:gsub("file, name: f, file: f",
    "image, name: x, id: sha256:" .. A), "blobs: a list of config and layers" },
  { "version: 1\nitems:\n- " .. good:gsub("file, name: f, file: f", "image, name: x, id: 5"),
    "id: a text was expected" },
  { "version: 1\nitems:\n- " .. good:gsub("file, name: f, file: f",
    "image, name: x, blobs: [{size: 1}], id: sha256:" .. A), "blobs: entry 1, sha256: 64 hexa" },
}

test("what is wrong in bundle.yaml is named, with its line", function()
  local dir <close> = prepared()
  for _, fault in ipairs(faults) do
    check.ok(sys.write_file(bundle.path(dir.path), fault[1] .. "\n"))
    local manifest, message = bundle.load(dir.path)
    if fault[2] then
      check.equal(manifest, nil, fault[1])
      check.contains(message, fault[2])
    else
      check.ok(manifest, message)
    end
  end
  local _, _, code = bundle.load(dir.path .. "/nowhere")
  check.equal(code, "ENOENT")
end)

test("a blob that is given up leaves nothing, one that is whole has its digest's name", function()
  local dir <close> = prepared()
  local given = 0
  local blob, message = store.add(dir.path, function()
    given = given + 1
    if given == 3 then
      return nil, "the source broke", "EIO"
    end
    return "piece"
  end)
  check.equal({ blob, message }, { nil, "the source broke" })
  check.equal({ sys.list(dir.path .. "/parts"), sys.list(dir.path .. "/blobs/sha256") }, { {}, {} })
  blob = check.ok(store.add_text(dir.path, "text"))
  check.equal(blob, { sha256 = make.digest("text"):sub(8), size = 4 })
  check.equal(sys.read_file(bundle.blob(dir.path, blob.sha256)), "text")
  local item = { sha256 = blob.sha256, size = 4 }
  check.equal(bundle.has(dir.path, item), true)
  check.ok(sys.write_file(bundle.blob(dir.path, blob.sha256), "tex"))
  check.equal(bundle.has(dir.path, item), false)
end)

local function gunzip(path)
  local result = program.run { "gzip", "-dc", path }
  check.equal(result.status, 0, result.err)
  return result.out
end

test("an image is taken apart the same, however its archive is compressed", function()
  local dir <close> = prepared()
  local layers = { make.layer("base", 300000), make.layer("second") }
  local image = make.image(layers)
  local plain = make.write(dir, "i.tar", make.docker_files(image, { "lab/web:1.0", "web" }))
  local first
  for _, path in ipairs { plain, make.compress(plain, ".gz"), make.compress(plain, ".zst") } do
    local items = check.ok(image_of.split(dir.path, check.ok(images.read(path))))
    check.equal({ #items, items[1].name, items[1].version, items[2].name },
      { 2, "lab/web:1.0", "1.0", "web:latest" })
    check.equal({ items[1].id, items[1].arch }, { image.id, "amd64" })
    first = first or items[1].sha256
    check.equal(items[1].sha256, first)
    for i, layer in ipairs(layers) do
      check.equal(gunzip(bundle.blob(dir.path, items[1].blobs[i + 1].sha256)) == layer, true)
    end
    check.equal(bundle.has(dir.path, items[1]), true)
  end
  check.equal(#sys.list(dir.path .. "/blobs/sha256"), 4)
end)

test("layers that are gzip stay as they are, and zstd becomes gzip", function()
  local dir <close> = prepared()
  local image = make.image { make.layer("base", 300000) }
  local docker = make.write(dir, "i.tar", make.docker_files(image, { "lab/web:1.0" }))
  for _, form in ipairs { "gzip", "zstd" } do
    local oci = dir.path .. "/" .. form
    local r = program.run { "skopeo", "copy", "-q", "--insecure-policy", "--dest-compress-format",
      form, "docker-archive:" .. docker, "oci:" .. oci .. ":lab/web:1.0" }
    check.equal(r.status, 0, r.err)
    r = program.run({ "tar", "-cf", oci .. ".tar", "-C", oci, "." })
    check.equal(r.status, 0, r.err)
    local archive = check.ok(images.read(oci .. ".tar"))
    local item = check.ok(image_of.split(dir.path, archive))[1]
    local layer = item.blobs[2].sha256
    check.equal(gunzip(bundle.blob(dir.path, layer)) == image.layers[1], true)
    if form == "gzip" then
      check.equal("sha256:" .. layer, archive.images[1].layers[1].entry.digest)
    end
  end
end)

-- What a runtime gets of an image in a bundle is an archive of that image again.
local function loads(dir, item, runtime)
  local archive = check.ok(image_of.archive(dir.path, { item }))
  local _, stream = make.received(images.plan(archive, { runtime = runtime }))
  local path = make.write(dir, runtime .. ".tar", stream)
  local read = check.ok(images.read(path))
  check.equal({ #read.images, read.images[1].id, read.images[1].tags[1] },
    { 1, item.id, "docker.io/" .. item.name })
end

test("docker and containerd get it again as it was", function()
  local dir <close> = prepared()
  local image = make.image { make.layer("base", 300000), make.layer("second") }
  local path = make.write(dir, "i.tar", make.docker_files(image, { "lab/web:1.0" }))
  local item = check.ok(image_of.split(dir.path, check.ok(images.read(path))))[1]
  loads(dir, item, "docker")
  loads(dir, item, "containerd")
  check.ok(sys.write_file(bundle.blob(dir.path, item.sha256), "{}"))
  local _, message = image_of.archive(dir.path, { item })
  check.contains(message, "is damaged")
end)
