-- Archives that are odd or made by somebody who means harm: refused with a reason, never more.
local test = ...
local check = require "lib.check"
local data = require "kb.data"
local images = require "kb.images"
local json = require "kb.json"
local make = require "lib.imagefile"
local program = require "lib.program"
local scratch = require "lib.scratch"
local source = require "modules.images.source"
local tar = require "kb.tar"
local task = require "kb.core.task"

local base, second = make.layer("base"), make.layer("second")

local INDEX = "application/vnd.oci.image.index.v1+json"

-- A layout's files, grown from the config up: `change(what, value)` may give another value for
-- the config, the manifest, the inner index and the top one before each is written.
local function oci_files(change)
  local files = {}
  local function blob(text)
    files[#files + 1] = { "blobs/sha256/" .. make.digest(text):sub(8), text }
    return { digest = make.digest(text), size = #text, mediaType = "application/x" }
  end
  local layer = blob(base)
  local config = blob(json.encode(change("config", { architecture = "amd64", os = "linux",
    rootfs = { type = "layers", diff_ids = { layer.digest } } })))
  local manifest = blob(json.encode(change("manifest", { schemaVersion = 2, config = config,
    layers = { layer } })))
  manifest.platform = { os = "linux", architecture = "amd64" }
  manifest.annotations = { ["org.opencontainers.image.ref.name"] = "1" }
  local inner = blob(json.encode(change("index", { manifests = { manifest } })))
  inner.mediaType = INDEX
  inner.annotations = { ["io.containerd.image.name"] = "x.example/y:1" }
  files[#files + 1] = { "index.json", json.encode(change("top", { manifests = { inner } })) }
  return files
end

local odd_values = { 1, "x", true, {}, { 1 }, { "x", 2 }, { a = 1 }, data.null }

-- Every value of a tree of JSON, as the list of keys that leads to it.
local function places(value, keys, list)
  list[#list + 1] = keys
  for key, inner in pairs(type(value) == "table" and value or {}) do
    local longer = table.move(keys, 1, #keys, 1, {})
    longer[#longer + 1] = key
    places(inner, longer, list)
  end
  return list
end

local function copy_with(value, keys, at, odd)
  if at > #keys then
    return odd
  end
  local copy = {}
  for key, inner in pairs(value) do
    copy[key] = key == keys[at] and copy_with(inner, keys, at + 1, odd) or inner
  end
  return copy
end

-- Read an archive into which an odd value was put: it is read or refused, and nothing raises.
local function try(dir, files, what, keys, odd)
  local path = make.write(dir, "x.tar", files)
  local place = ("%s.%s = %s"):format(what, table.concat(keys, "."), json.encode(odd))
  local ok, archive, message, code = pcall(images.read, path)
  check.equal(ok, true, place .. ": " .. tostring(archive))
  if not archive then
    check.equal(code, "EINVAL", place)
    check.contains(message, path .. ": ")
  end
  return archive ~= nil
end

test("an OCI layout with any odd value anywhere is read or refused", function()
  local dir <close> = scratch()
  local good = {}
  oci_files(function(what, value)
    good[what] = value
    return value
  end)
  local refused = 0
  for what, value in pairs(good) do
    for _, keys in ipairs(places(value, {}, {})) do
      for _, odd in ipairs(odd_values) do
        local files = oci_files(function(now, made)
          return now == what and copy_with(made, keys, 1, odd) or made
        end)
        refused = refused + (try(dir, files, what, keys, odd) and 0 or 1)
      end
    end
  end
  check.equal(refused > 50, true, refused .. " refused")
end)

test("a docker-archive with any odd value anywhere is read or refused", function()
  local dir <close> = scratch()
  local files = make.docker_files(make.image { base, second }, { "x:1" })
  local good = json.decode(files[4][2])
  for _, keys in ipairs(places(good, {}, {})) do
    for _, odd in ipairs(odd_values) do
      files[4][2] = json.encode(copy_with(good, keys, 1, odd))
      try(dir, files, "manifest.json", keys, odd)
    end
  end
end)

test("an archive without any image is refused", function()
  local dir <close> = scratch()
  for _, text in ipairs { "[]", "{}" } do
    local archive, message = images.read(make.write(dir, "x.tar", { { "manifest.json", text } }))
    check.equal(archive, nil)
    check.contains(message, "it has no image")
  end
end)

-- A header of pax that says of itself that it is longer than anything.
test("refused: an extended header with an impossible length", function()
  local dir <close> = scratch()
  for _, text in ipairs { ("9"):rep(30) .. " path=a\n", ("9"):rep(18) .. " path=a\n" } do
    local head = tar.header { path = "pax", kind = "file", mode = 420, mtime = 0, size = #text }
    local header = head:sub(1, 156) .. "x" .. head:sub(158)
    local sum = 0
    for i = 1, 512 do
      sum = sum + ((i >= 149 and i <= 156) and 32 or header:byte(i))
    end
    header = header:sub(1, 148) .. ("%06o\0 "):format(sum) .. header:sub(157)
    local path = make.write(dir, "x.tar", header .. text .. tar.padding(#text)
      .. make.tar { { "a", "b" } })
    local archive, message, code = images.read(path)
    check.equal({ archive, code }, { nil, "EINVAL" })
    check.contains(message, "its extended header is broken")
  end
end)

-- The standard: of several that fit, the first is meant.
test("of variants of one architecture only the first has the name", function()
  local dir <close> = scratch()
  local files, descriptors = {}, {}
  local function blob(text)
    files[#files + 1] = { "blobs/sha256/" .. make.digest(text):sub(8), text }
    return { digest = make.digest(text), size = #text }
  end
  for i, layer in ipairs { base, second } do
    local config = blob(json.encode { architecture = "amd64", os = "linux",
      rootfs = { diff_ids = { make.digest(layer) } } })
    descriptors[i] = blob(json.encode { config = config, layers = { blob(layer) } })
    descriptors[i].platform = { os = "linux", architecture = "amd64", variant = "v" .. i }
  end
  local index = blob(json.encode { manifests = descriptors })
  index.mediaType, index.annotations = INDEX, { ["io.containerd.image.name"] = "x.example/y:1" }
  files[#files + 1] = { "index.json", json.encode { manifests = { index } } }
  local archive = check.ok(images.read(make.write(dir, "x.tar", files)))
  check.equal({ #archive.images, archive.images[1].layers[1].diff_id }, { 1, make.digest(base) })
end)

test("what is no file is said to be none, and not waited for", function()
  local dir <close> = scratch()
  local path = dir.path .. "/pipe"
  check.equal(program.run({ "mkfifo", path }).status, 0)
  local helper = check.ok(require("kb.core.proc").spawn { argv = { "sh", "-c",
    'sleep 3; : <>"$1"', "sh", path }, stdin = "null", stdout = "null", stderr = "null" })
  local _ <close> = setmetatable({}, { __close = function()
    helper:kill(9)
    helper:wait()
  end })
  local before = task.now()
  local archive, message, code = images.read(path)
  check.equal({ archive, code }, { nil, "EINVAL" })
  check.contains(message, path .. " is not a file")
  check.equal(task.now() - before < 1, true)
  archive, message = images.read(dir.path)
  check.equal(archive, nil)
  check.contains(message, dir.path .. " is not a file")
end)

test("a name that stands for two images is refused, whatever order they come in", function()
  local dir <close> = scratch()
  local paths = {}
  for i, layer in ipairs { base, second } do
    paths[i] = make.write(dir, i .. ".tar", make.docker_files(make.image { layer },
      { "lab/web:1.0", "lab/other:" .. i }))
  end
  local function archives(list, names)
    return source.archives({ archive = list, names = names or {}, platform = "linux/amd64" }, {})
  end
  local failure = check.raises("lab/web:1.0", archives, paths)
  check.contains(tostring(failure), paths[1])
  check.contains(tostring(failure), paths[2])
  check.equal(#archives(paths, { "lab/other:1", "lab/other:2" }), 2)
  check.equal(#archives { paths[1], paths[1] }, 2)
end)
