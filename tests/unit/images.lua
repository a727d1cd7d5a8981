local test = ...
local check = require "lib.check"
local images = require "kb.images"
local json = require "kb.json"
local make = require "lib.imagefile"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"
local tar = require "kb.tar"
local task = require "kb.core.task"

local base, second, third = make.layer("base"), make.layer("second", 70000), make.layer("third")

local function skopeo(from, to)
  local result = program.run { "skopeo", "copy", "-q", "--insecure-policy", from, to }
  check.equal(result.status, 0, result.err)
end

-- What does not depend on the form that the archive has.
local function summary(archive)
  local list = {}
  for i, image in ipairs(archive.images) do
    local layers = {}
    for k, layer in ipairs(image.layers) do
      layers[k] = { layer.diff_id, layer.chain_id }
    end
    list[i] = { image.os .. "/" .. image.architecture, image.tags, layers }
  end
  return list
end

local function names(files)
  local list = {}
  for i, file in ipairs(files) do
    list[i] = file[1]
  end
  return list
end

test("a docker-archive and an OCI layout say the same, plain, gzip and zstd", function()
  local dir <close> = scratch()
  local image = make.image { base, second }
  local docker = make.write(dir, "docker.tar", make.docker_files(image, { "lab/web:1.0" }))
  local oci = dir.path .. "/oci.tar"
  skopeo("docker-archive:" .. docker, "oci-archive:" .. oci .. ":lab/web:1.0")
  local chain = make.digest(image.diff_ids[1] .. " " .. image.diff_ids[2])
  local want = { { "linux/amd64", { "docker.io/lab/web:1.0" }, {
    { image.diff_ids[1], image.diff_ids[1] }, { image.diff_ids[2], chain } } } }
  for _, path in ipairs({ docker, make.compress(docker, ".gz"), make.compress(docker, ".zst"), oci,
    make.compress(oci, ".gz"), make.compress(oci, ".zst") }) do
    local archive = check.ok(images.read(path))
    check.equal(summary(archive), want, path)
    check.equal(archive.format, path:find("oci") and "oci" or "docker")
    check.equal(archive.compression, path:match("gz$") and "gzip" or path:match("zst$") and "zstd")
  end
  check.equal(images.read(docker).images[1].id, image.id)
end)

test("names are full inside and short for docker", function()
  local full = { nginx = "docker.io/library/nginx:latest", ["a/b:1"] = "docker.io/a/b:1",
    ["localhost/x"] = "localhost/x:latest", ["r.example:5000/x:1"] = "r.example:5000/x:1",
    ["registry.k8s.io/pause:3.9"] = "registry.k8s.io/pause:3.9" }
  for short, long in pairs(full) do
    check.equal(images.reference.full(short), long)
    check.equal(images.reference.full(long), long)
    check.equal(images.reference.full(images.reference.short(long)), long)
  end
  check.equal(images.reference.short("docker.io/library/nginx:1"), "nginx:1")
end)

-- The archive with one thing broken, and the words of the refusal.
local function refused(what, words, change)
  test("refused: " .. what, function()
    local dir <close> = scratch()
    local files = make.docker_files(make.image { base, second }, { "x:1" })
    local content = change(files, dir) or files
    local path = make.write(dir, "x.tar", content)
    local archive, message, code = images.read(path)
    check.equal({ archive, code }, { nil, "EINVAL" })
    check.contains(message, path .. ": ")
    check.contains(message, words)
  end)
end

refused("truncated in a layer", "truncated", function(files)
  return make.tar(files):sub(1, 40000)
end)
refused("truncated between entries", "truncated", function(files)
  local whole = make.tar(files)
  return whole:sub(1, #whole - 1024)
end)
refused("truncated gzip", "gzip: the data ends too early", function(files, dir)
  local whole = sys.read_file(make.compress(make.write(dir, "y", files), ".gz"))
  return whole:sub(1, #whole - 20)
end)
refused("gzip with a wrong bit", "gzip: incorrect data check", function(files, dir)
  local whole = sys.read_file(make.compress(make.write(dir, "y", files), ".gz"))
  return whole:sub(1, -9) .. "\xff\xff\xff\xff" .. whole:sub(-4)
end)
refused("truncated zstd", "zstd: the data ends too early", function(files, dir)
  local whole = sys.read_file(make.compress(make.write(dir, "y", files), ".zst"))
  return whole:sub(1, #whole - 2)
end)
refused("a layer that is another", "layer 2 of 2 (layer2/layer.tar) is sha256:", function(files)
  files[2][2] = third
end)
refused("a missing layer", "layer 1 of 2 is missing (layer1/layer.tar)", function(files)
  table.remove(files, 1)
end)
refused("fewer layers than the config says", "the config names 2 layers, the manifest 1",
  function(files)
    files[4][2] = files[4][2]:gsub(', "layer2/layer.tar"', "")
  end)
refused("a config that is another", "the config ", function(files)
  files[3][2] = files[3][2]:gsub("amd64", "arm64")
end)
refused("a missing config", "is missing", function(files)
  table.remove(files, 3)
end)
refused("no manifest", "neither manifest.json nor index.json", function(files)
  table.remove(files, 4)
end)
refused("a manifest that is no JSON", "manifest.json", function(files)
  files[4][2] = "[rubbish"
end)
refused("a path out of the archive", "../../etc/passwd: its path leads out", function(files)
  table.insert(files, 1, { "../../etc/passwd", "x" })
end)
refused("an absolute path", "/etc/passwd: its path leads out", function(files)
  table.insert(files, 1, { "/etc/passwd", "x" })
end)
refused("a path that leads out in its middle", "its path leads out", function(files)
  table.insert(files, 1, { "a/../../b", "x" })
end)
refused("the same path twice", "it is in the archive twice", function(files)
  table.insert(files, { "layer1/layer.tar", third })
end)
refused("no tar at all", "at byte 0: the header's checksum is wrong", function()
  return ("rubbish"):rep(1000)
end)
refused("nothing", "truncated", function()
  return ""
end)

local function link(name, target)
  return tar.header { path = name, kind = "link", mode = 511, mtime = 0, to = target }
end

refused("a link out of the archive", "it links to ../../etc, out of the archive", function(files)
  return link("a/b", "../../etc") .. make.tar(files)
end)

test("a layer that is a link to another's, as docker writes it, is found", function()
  local dir <close> = scratch()
  local image = make.image { base, base }
  local files = make.docker_files(image, {})
  table.remove(files, 2)
  local path = make.write(dir, "x.tar", link("layer2/layer.tar", "../layer1/layer.tar")
    .. make.tar(files))
  local plan = images.plan(check.ok(images.read(path)), { runtime = "docker" })
  check.equal({ plan.layers, plan.layers_sent }, { 1, 1 })
end)

refused("an OCI layout with a blob that is not its name", "is sha256:", function(_, dir)
  local path = make.write(dir, "d.tar", make.docker_files(make.image { base }, { "x:1" }))
  skopeo("docker-archive:" .. path, "oci:" .. dir.path .. "/oci:x:1")
  local largest = program.run({ "sh", "-c", 'ls -S "$1"/oci/blobs/sha256/* | head -n 1', "sh",
    dir.path }).out:gsub("\n", "")
  check.ok(sys.write_file(largest, "other"))
  program.run({ "tar", "cf", dir.path .. "/o.tar", "-C", dir.path .. "/oci", "." })
  return sys.read_file(dir.path .. "/o.tar")
end)

refused("an OCI layout without one of its layers", "layer 1 of 1 is missing (blobs/sha256/",
  function(_, dir)
    local path = make.write(dir, "d.tar", make.docker_files(make.image { base }, { "x:1" }))
    skopeo("docker-archive:" .. path, "oci:" .. dir.path .. "/oci:x:1")
    local index = json.decode(sys.read_file(dir.path .. "/oci/index.json"))
    local manifest = json.decode(sys.read_file(dir.path .. "/oci/"
      .. "blobs/" .. index.manifests[1].digest:gsub(":", "/")))
    check.ok(sys.remove(dir.path .. "/oci/blobs/" .. manifest.layers[1].digest:gsub(":", "/")))
    program.run({ "tar", "cf", dir.path .. "/o.tar", "-C", dir.path .. "/oci", "." })
    return sys.read_file(dir.path .. "/o.tar")
  end)

test("docker gets the layers above the chain that it has, and all their names", function()
  local dir <close> = scratch()
  local image = make.image { base, second, third }
  local path = make.write(dir, "x.tar", make.docker_files(image, { "lab/web:1.0" }))
  local archive = check.ok(images.read(path))
  local function sent(chains)
    local plan = images.plan(archive, { runtime = "docker", chains = chains })
    local files, whole = make.received(plan)
    check.equal(#whole, plan.bytes)
    local manifest = json.decode(files[1][2])
    check.equal(#manifest[1].Layers, 3)
    check.equal({ manifest[1].RepoTags[1], files[2][2] }, { "lab/web:1.0", image.config })
    return names({ table.unpack(files, 3) })
  end
  local function layer(i)
    return image.diff_ids[i]:sub(8) .. "/layer.tar"
  end
  local chains = images.chain_ids(image.diff_ids)
  check.equal(sent({}), { layer(1), layer(2), layer(3) })
  check.equal(sent({ [chains[1]] = true }), { layer(2), layer(3) })
  check.equal(sent({ [chains[1]] = true, [chains[2]] = true }), { layer(3) })
  -- the same layer in another chain does not count
  check.equal(sent({ [image.diff_ids[2]] = true }), { layer(1), layer(2), layer(3) })
end)

test("containerd gets the blobs that it lacks, with manifest, config and names", function()
  local dir <close> = scratch()
  local image = make.image { base, second }
  local archive = check.ok(images.read(make.write(dir, "x.tar",
    make.docker_files(image, { "nginx", "x.example/y:2" }))))
  local plan = images.plan(archive, { runtime = "containerd",
    blobs = { [image.diff_ids[1]] = true } })
  local files, whole = make.received(plan)
  check.equal({ #whole, plan.layers, plan.layers_sent }, { plan.bytes, 2, 1 })
  local blobs = {}
  for i = 3, #files do
    check.equal(files[i][1], "blobs/sha256/" .. make.digest(files[i][2]):sub(8))
    blobs["sha256:" .. files[i][1]:sub(14)] = files[i][2]
  end
  check.equal(files[1], { "oci-layout", '{"imageLayoutVersion":"1.0.0"}' })
  local index = json.decode(files[2][2])
  local named = {}
  for i, descriptor in ipairs(index.manifests) do
    named[i] = descriptor.annotations["io.containerd.image.name"]
  end
  check.equal(named, { "docker.io/library/nginx:latest", "x.example/y:2" })
  local manifest = json.decode(blobs[index.manifests[1].digest])
  check.equal(blobs[manifest.config.digest], image.config)
  check.equal({ manifest.layers[1].digest, manifest.layers[2].digest }, { image.diff_ids[1],
    image.diff_ids[2] })
  check.equal({ blobs[image.diff_ids[1]], blobs[image.diff_ids[2]] }, { nil, second })
end)

test("what is there by its id is not sent; a name that is missing is told", function()
  local dir <close> = scratch()
  local image = make.image { base }
  local archive = check.ok(images.read(make.write(dir, "x.tar",
    make.docker_files(image, { "x:1", "y:1" }))))
  local plan = images.plan(archive, { runtime = "docker", images = { [image.id] = { "x:1" } } })
  check.equal({ #plan.load, #plan.present, plan.bytes }, { 0, 1, 0 })
  check.equal(plan.names, { { id = image.id, name = "docker.io/library/y:1", existing = "x:1" } })
  check.equal(plan:stream()(), tar.ending)
  -- the name alone does not do: another image may have it
  plan = images.plan(archive, { runtime = "docker", images = { ["sha256:0"] = { "x:1" } } })
  check.equal(#plan.load, 1)
end)

test("several archives travel as one stream, shared layers once", function()
  local dir <close> = scratch()
  local archives = {}
  for i, top in ipairs({ second, third }) do
    local path = make.write(dir, i .. ".tar", make.docker_files(make.image { base, top },
      { "x:" .. i }))
    archives[i] = check.ok(images.read(i == 2 and make.compress(path, ".gz") or path))
  end
  for _, runtime in ipairs({ "docker", "containerd" }) do
    local plan = images.plan(archives, { runtime = runtime })
    local files, whole = make.received(plan)
    check.equal({ plan.layers, plan.layers_sent, #whole }, { 3, 3, plan.bytes })
    local contents = {}
    for _, file in ipairs(files) do
      contents[file[2]] = true
    end
    check.equal({ contents[base], contents[second], contents[third] }, { true, true, true })
  end
end)

test("a compressed layer travels as it is, zstd to docker decompressed", function()
  local dir <close> = scratch()
  local image = make.image { base, second }
  for _, suffix in ipairs({ ".gz", ".zst" }) do
    local files = make.docker_files(image, { "x:1" })
    for i = 1, 2 do
      files[i][2] = sys.read_file(make.compress(make.write(dir, "l" .. i, files[i][2]), suffix))
    end
    local archive = check.ok(images.read(make.write(dir, "x.tar", files)))
    local sent, whole = make.received(images.plan(archive, { runtime = "docker" }))
    check.equal(sent[3][2], suffix == ".gz" and files[1][2] or base)
    check.equal(sent[4][2], suffix == ".gz" and files[2][2] or second)
    check.equal(#whole, images.plan(archive, { runtime = "docker" }).bytes)
    sent = make.received(images.plan(archive, { runtime = "containerd" }))
    local manifest = json.decode(sent[3][2])
    check.equal(manifest.layers[1].digest, make.digest(files[1][2]))
    check.contains(manifest.layers[1].mediaType, suffix == ".gz" and "tar+gzip" or "tar+zstd")
  end
end)

test("an image gets another name", function()
  local dir <close> = scratch()
  local path = make.write(dir, "x.tar", make.docker_files(make.image { base }, { "x:1" }))
  local archive = check.ok(images.read(path))
  check.ok(archive:retag("docker.io/library/x:1", "mirror.example/x:1"))
  check.equal(archive.images[1].tags, { "mirror.example/x:1" })
  check.equal(images.read(path).images[1].tags, { "docker.io/library/x:1" })
  local none, message = archive:retag("z:1", "y:1")
  check.equal(none, nil)
  check.contains(message, "has no image z:1")
end)

test("of an index for several platforms the asked one is taken", function()
  local dir <close> = scratch()
  local blobs, descriptors = {}, {}
  local function blob(content)
    blobs[#blobs + 1] = { "blobs/sha256/" .. make.digest(content):sub(8), content }
    return { digest = make.digest(content), size = #content }
  end
  for i, architecture in ipairs({ "amd64", "arm64" }) do
    local layer = i == 1 and base or second
    local config = json.encode { architecture = architecture, os = "linux",
      rootfs = { diff_ids = { make.digest(layer) } } }
    descriptors[i] = blob(json.encode { config = blob(config), layers = { blob(layer) } })
    descriptors[i].platform = { os = "linux", architecture = architecture }
  end
  blobs[#blobs] = nil -- the other platform's manifest need not be there
  local index = blob(json.encode { manifests = descriptors })
  index.mediaType = "application/vnd.oci.image.index.v1+json"
  index.annotations = { ["io.containerd.image.name"] = "x.example/y:1" }
  table.insert(blobs, { "index.json", json.encode { manifests = { index } } })
  local path = make.write(dir, "x.tar", blobs)
  local archive = check.ok(images.read(path))
  check.equal({ #archive.images, archive.images[1].architecture, archive.images[1].tags[1] },
    { 1, "amd64", "x.example/y:1" })
  local none, message = images.read(path, { platform = "linux/arm64" })
  check.equal(none, nil)
  check.contains(message, "a manifest is missing")
  none, message = images.read(path, { platform = "linux/riscv64" })
  check.equal(none, nil)
  check.contains(message, "no image for linux/riscv64")
end)

test("an archive that changed between reading and sending is not sent", function()
  local dir <close> = scratch()
  local path = make.write(dir, "x.tar", make.docker_files(make.image { base }, { "x:1" }))
  local plan = images.plan(check.ok(images.read(path)), { runtime = "docker" })
  make.write(dir, "x.tar", make.docker_files(make.image { third, second }, { "x:1" }))
  check.raises("has changed since it was read", make.received, plan)
  check.equal(#check.ok(images.read(path)).images[1].layers, 2)
end)

test("tasks that want one archive at once share one reading", function()
  local dir <close> = scratch()
  local path = make.write(dir, "x.tar", make.docker_files(
    make.image { make.layer("big", 5 << 20) }, { "x:1" }))
  local tasks, done = {}, 0
  for i = 1, 5 do
    tasks[i] = task.spawn(function()
      local archive = check.ok(images.read(path))
      done = done + 1
      return archive.images[1].layers[1].entry
    end)
  end
  local first = tasks[1]:join()
  for i = 2, 5 do
    check.equal(rawequal(tasks[i]:join(), first), true)
  end
  check.equal(done, 5)
end)

test("a stream that is given up closes its file", function()
  local dir <close> = scratch()
  local path = make.write(dir, "x.tar", make.docker_files(
    make.image { make.layer("big", 2 << 20) }, { "x:1" }))
  local plan = images.plan(check.ok(images.read(path)), { runtime = "docker" })
  local stream <close> = plan:stream()
  for _ = 1, 8 do
    check.ok(stream())
  end
end)

test("memory does not grow with the layers", function()
  local dir <close> = scratch()
  local path = dir.path .. "/x.tar"
  local size = 48 << 20
  local image = make.image { "" }
  local layer = make.header("zeros", size)
  local file <close> = check.ok(io.open(path, "wb"))
  local hash = require("kb.core.crypto").hash("sha256")
  local total = 512 + size + 1024
  local function put(data)
    hash:update(data)
    file:write(data)
  end
  file:write(make.header("layer1/layer.tar", total))
  put(layer)
  for _ = 1, size >> 20 do
    put(("\0"):rep(1 << 20))
  end
  put(tar.ending)
  file:write(tar.padding(total))
  local config = image.config:gsub("sha256:%x+", "sha256:" .. hash:final())
  local name = make.digest(config):sub(8) .. ".json"
  file:write(make.tar { { name, config }, { "manifest.json", json.encode { { Config = name,
    RepoTags = { "x:1" }, Layers = { "layer1/layer.tar" } } } } })
  file:close()
  -- Lua's own pace of collection: what lives is asked for, not how late it is collected
  local pause = collectgarbage("setpause", 200)
  local _ <close> = setmetatable({}, { __close = function()
    collectgarbage("setpause", pause)
  end })
  collectgarbage()
  local before, most = collectgarbage("count"), 0
  local archive = check.ok(images.read(make.compress(path, ".gz")))
  for _, runtime in ipairs({ "docker", "containerd" }) do
    local stream <close> = images.plan(archive, { runtime = runtime }):stream()
    for _ in stream do
      most = math.max(most, collectgarbage("count"))
    end
  end
  check.equal(most - before < 8 * 1024, true, ("grew by %.0f KiB"):format(most - before))
end)
