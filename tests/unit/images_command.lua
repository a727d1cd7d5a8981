local test = ...
local check = require "lib.check"
local json = require "kb.json"
local make = require "lib.imagefile"
local program = require "lib.program"
local scratch = require "lib.scratch"

local function images(dir, ...)
  return program.run({ program.kbrun, "images", ... }, { cwd = dir.path })
end

test("ls lists the images of archives, also beside a broken one", function()
  local dir <close> = scratch()
  local image = make.image { make.layer("base"), make.layer("top", 5000) }
  make.write(dir, "a.tar", make.docker_files(image, { "lab/web:1.0", "x:2" }))
  make.write(dir, "b.tar", "rubbish")
  local result = images(dir, "ls", "a.tar")
  check.equal({ result.status, result.err }, { 0, "" })
  local id = image.id:sub(8, 19)
  check.contains(result.out, "docker.io/lab/web:1.0  " .. id
    .. "  linux/amd64  2       8.7 kB  a.tar\n")
  check.contains(result.out, "docker.io/library/x:2  " .. id)
  result = images(dir, "ls", "--json", "b.tar", "a.tar")
  check.equal(result.status, 4)
  check.contains(result.err, "b.tar: it is truncated")
  local rows = json.decode(result.out)
  check.equal({ #rows, rows[1].id, rows[1].layers[2] }, { 1, image.id, image.diff_ids[2] })
end)

test("verify says which archives are whole", function()
  local dir <close> = scratch()
  local files = make.docker_files(make.image { make.layer("base") }, { "x:2" })
  make.write(dir, "a.tar", files)
  files[1][2] = make.layer("other")
  make.write(dir, "b.tar", files)
  local result = images(dir, "verify", "a.tar")
  check.equal({ result.status, result.err }, { 0, "whole: 1 of 1 archives; images in them: 1\n" })
  result = images(dir, "verify", "a.tar", "b.tar", "none.tar")
  check.equal(result.status, 4)
  check.contains(result.err, "whole: 1 of 3 archives")
  check.contains(result.err, "b.tar: layer 1 of 1 (layer1/layer.tar) is sha256:")
  check.contains(result.err, "none.tar: No such file")
end)

test("a wrong command line is refused", function()
  local dir <close> = scratch()
  check.contains(images(dir, "explode", "x").err, "there are ls and verify")
  check.equal(images(dir, "ls").status, 2)
  make.write(dir, "hosts.yaml", "all: {hosts: {h1: {ansible_connection: local}}}\n")
  check.contains(images(dir, "verify", "-i", "hosts.yaml", "a", "b").err, "one pattern of hosts")
  local result = images(dir, "verify", "-i", "hosts.yaml", "h1", "--manifest", "none.yaml")
  check.equal(result.status, 2)
  check.contains(result.err, "none.yaml")
  check.contains(images(dir, "ls", "-i", "hosts.yaml", "nobody").err, "nobody")
end)
