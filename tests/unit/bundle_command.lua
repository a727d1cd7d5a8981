local test = ...
local bundle = require "kb.bundle"
local check = require "lib.check"
local json = require "kb.json"
local program = require "lib.program"
local scratch = require "lib.scratch"
local store = require "kb.bundle.store"
local sys = require "kb.core.sys"

-- A bundle of a package, a file that shares its blob, and an image of two blobs.
local function made(dir)
  check.ok(store.prepare(dir))
  local one, two = check.ok(store.add_text(dir, "one")), check.ok(store.add_text(dir, "two"))
  local large = check.ok(store.add_text(dir, ("large"):rep(1000000)))
  check.ok(bundle.save(dir, {
    { kind = "deb", name = "a", version = "1:2", arch = "all", file = "a.deb", size = 3,
      sha256 = one.sha256 },
    { kind = "file", name = "f", file = "f", size = 3, sha256 = one.sha256 },
    { kind = "image", name = "x:1", version = "1", arch = "amd64", id = "sha256:" .. two.sha256,
      size = 3, sha256 = two.sha256, blobs = { large } } }))
  return one.sha256, two.sha256, large.sha256
end

local function kbrun(...)
  return program.run { program.kbrun, "bundle", ... }
end

test("ls is a table, or JSON", function()
  local dir <close> = scratch()
  local one, two = made(dir.path)
  local r = kbrun("ls", dir.path)
  check.equal({ r.status, r.err }, { 0, "" })
  local rows = {}
  for line in r.out:gmatch("[^\n]+") do
    rows[#rows + 1] = line:gsub(" +", " ")
  end
  check.equal(rows, { "KIND NAME VERSION ARCH SIZE SHA256",
    "deb a 1:2 all 3 B " .. one:sub(1, 12), "file f - - 3 B " .. one:sub(1, 12),
    "image x:1 1 amd64 5.0 MB " .. two:sub(1, 12) })
  local items = json.decode(kbrun("ls", "--json", dir.path).out)
  check.equal({ #items, items[3].name, items[3].blobs[1].size }, { 3, "x:1", 5000000 })
end)

test("verify says that a whole one is whole", function()
  local dir <close> = scratch()
  made(dir.path)
  local r = kbrun("verify", dir.path)
  check.equal({ r.status, r.out }, { 0, "" })
  check.contains(r.err, "3 items, 3 blobs, 5.0 MB: whole")
  r = kbrun("verify", "--quiet", dir.path)
  check.equal({ r.status, r.out, r.err }, { 0, "", "" })
end)

test("verify names what is missing, wrong and extra, and who needs it", function()
  local dir <close> = scratch()
  local one, two, large = made(dir.path)
  local blobs = dir.path .. "/blobs/sha256/"
  check.ok(sys.remove(blobs .. one))
  check.ok(sys.write_file(blobs .. two, "2wo"))
  check.ok(sys.write_file(blobs .. large, "large"))
  check.ok(sys.write_file(blobs .. "more", ""))
  local r = kbrun("verify", dir.path)
  check.equal(r.status, 4)
  check.contains(r.out, ("extra: %smore: no item has it\n"):format(blobs))
  check.contains(r.out, ("missing: %s%s (deb a, file f): it is not there\n"):format(blobs, one))
  check.contains(r.out, ("wrong: %s%s (image x:1): its SHA-256 is "):format(blobs, two))
  check.contains(r.out, "it has 5 bytes, not 5000000")
  check.contains(r.err, "4 findings")
  check.contains(r.err, "playbooks/bundle.lua")
  r = kbrun("verify", "--json", dir.path)
  check.equal(r.status, 4)
  local report = json.decode(r.out)
  check.equal({ #report.findings, report.findings[2].fault, report.findings[2].items },
    { 4, "missing", { "deb a", "file f" } })
end)

test("what is no bundle is refused", function()
  local dir <close> = scratch()
  for _, action in ipairs { "ls", "verify" } do
    local r = kbrun(action, dir.path)
    check.equal(r.status, 4)
    check.contains(r.err, "bundle.yaml: No such file")
  end
  check.ok(sys.write_file(dir.path .. "/bundle.yaml", "version: 1\nitems: [{kind: deb}]\n"))
  check.contains(kbrun("verify", dir.path).err, "bundle.yaml:2: name: a text was expected")
  check.equal(kbrun("push", dir.path).status, 2)
  check.equal(kbrun("ls").status, 2)
end)
