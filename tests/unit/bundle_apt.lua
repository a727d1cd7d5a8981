-- Packages with what they depend on, by apt from a repository in a directory.
local test = ...
local bundle = require "kb.bundle"
local check = require "lib.check"
local declaration = require "kb.bundle.declaration"
local make = require "kb.bundle.make"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"

-- A package in a directory.
local function deb(dir, name, version, depends, arch, word)
  local root = ("%s/tree-%s"):format(dir.path, name)
  check.ok(sys.mkdir(root .. "/DEBIAN"))
  check.ok(sys.write_file(root .. "/word", word or ""))
  check.ok(sys.write_file(root .. "/DEBIAN/control", ("Package: %s\nVersion: %s\n"
    .. "Architecture: %s\n%sMaintainer: test <test@example.org>\nDescription: a test\n"):format(
    name, version, arch or "all", depends and ("Depends: %s\n"):format(depends) or "")))
  local file = ("%s/%s_%s_%s.deb"):format(dir.path, name, version:gsub("^%d+:", "%%3a"), arch
    or "all")
  local r = program.run { "dpkg-deb", "--root-owner-group", "--build", root, file }
  check.equal(r.status, 0, r.err)
  program.run { "rm", "-r", root }
  return file
end

local function index(dir)
  local r = program.run { "sh", "-ec", ('cd %s; for f in *.deb; do dpkg-deb -f "$f"; '
    .. 'echo "Filename: ./$f"; echo "Size: $(stat -c %%s "$f")"; '
    .. 'echo "SHA256: $(sha256sum <"$f" | cut -d" " -f1)"; echo; done >Packages'):format(dir.path) }
  check.equal(r.status, 0, r.err)
end

local function ground()
  local repo, own, dir = scratch(), scratch(), scratch()
  deb(repo, "top", "1:1.0", "middle (>= 2)")
  deb(repo, "middle", "2.0", "low")
  deb(repo, "low", "1.0")
  deb(repo, "other", "1.0")
  deb(own, "ours", "3.0", "other")
  index(repo)
  return setmetatable({ repo = repo, own = own, dir = dir.path .. "/b", path = dir.path,
    map = { packages = { names = { "top" }, debs = own.path .. "/*.deb",
      sources = { ("deb [trusted=yes] file:%s ./"):format(repo.path) } } } },
    { __close = function()
      for _, one in ipairs { repo, own, dir } do
        getmetatable(one).__close(one)
      end
    end })
end

local function plan(g, repin)
  return make.plan(g.dir, check.ok(declaration.check(g.map, "declared", g.path)),
    { repin = repin })
end

local function debs(g)
  local list = {}
  for _, item in ipairs(check.ok(bundle.load(g.dir)).items) do
    list[#list + 1] = item.kind == "deb" and item.name .. " " .. item.version or nil
  end
  return list
end

test("packages come with what they depend on, once, and apt finds them by the index", function()
  local g <close> = ground()
  check.equal(check.ok(plan(g)).todo[2].text, "packages top, and what they depend on")
  check.ok(make.apply(check.ok(plan(g))))
  check.equal(debs(g), { "low 1.0", "middle 2.0", "other 1.0", "ours 3.0", "top 1:1.0" })
  program.run { "rm", "-r", g.repo.path }
  check.equal(#check.ok(plan(g)).todo, 0)
  local text
  for _, item in ipairs(bundle.load(g.dir).items) do
    if item.name == "Packages" then
      text = check.ok(sys.read_file(bundle.blob(g.dir, item.sha256)))
    end
  end
  check.contains(text, "Package: top\nVersion: 1:1.0\n")
  check.contains(text, "\nFilename: ./top_1.0_all.deb\n")
  check.equal(select(2, text:gsub("\n\nPackage: ", "")), 4)
end)

test("what hosts have already does not come", function()
  local g <close> = ground()
  check.ok(sys.write_file(g.path .. "/status", "Package: low\nStatus: install ok installed\n"
    .. "Version: 1.0\nArchitecture: all\nMaintainer: x\nDescription: x\n"))
  g.map.packages.installed = "status"
  check.ok(make.apply(check.ok(plan(g))))
  check.equal(debs(g), { "middle 2.0", "other 1.0", "ours 3.0", "top 1:1.0" })
end)

test("newer packages come when that is asked, or when other ones are wanted", function()
  local g <close> = ground()
  check.ok(make.apply(check.ok(plan(g))))
  deb(g.repo, "low", "1.1")
  index(g.repo)
  check.equal(#check.ok(plan(g)).todo, 0)
  check.ok(make.apply(check.ok(plan(g, { "packages" }))))
  check.equal(debs(g)[1], "low 1.1")
  g.map.packages.names = { "middle" }
  check.ok(make.apply(check.ok(plan(g))))
  check.equal(debs(g), { "low 1.1", "middle 2.0", "other 1.0", "ours 3.0" })
end)

test("a package of the same version that has changed is an error", function()
  local g <close> = ground()
  check.ok(make.apply(check.ok(plan(g))))
  deb(g.repo, "low", "1.0", nil, nil, "another")
  index(g.repo)
  local _, message = make.apply(check.ok(plan(g, { "packages" })))
  check.contains(message, "deb low 1.0 was pinned")
  check.contains(message, "--extra repin=low")
  check.ok(make.apply(check.ok(plan(g, { "packages", "low" }))))
  deb(g.own, "ours", "3.0", "other", nil, "another")
  _, message = plan(g)
  check.contains(message, "deb ours 3.0 was pinned")
end)

test("a package that cannot be had says why, and nothing else is lost", function()
  local g <close> = ground()
  check.ok(make.apply(check.ok(plan(g))))
  g.map.packages.names = { "top", "nowhere" }
  local _, message = make.apply(check.ok(plan(g)))
  check.contains(message, "Unable to locate package nowhere")
  check.equal(#debs(g), 5)
  deb(g.own, "lost", "1", "nobody-has-this")
  g.map.packages.names = { "top" }
  _, message = make.apply(check.ok(plan(g)))
  check.contains(message, "nobody-has-this")
end)

test("packages are those of the architecture that is asked", function()
  local g <close> = ground()
  deb(g.repo, "tool", "1", nil, "arm64")
  deb(g.repo, "tool", "1", nil, "amd64")
  index(g.repo)
  g.map.arch, g.map.packages.names = "arm64", { "tool" }
  check.ok(make.apply(check.ok(plan(g))))
  for _, item in ipairs(bundle.load(g.dir).items) do
    check.equal(item.name == "tool" and item.arch or "arm64", "arm64")
  end
  check.equal(debs(g), { "other 1.0", "ours 3.0", "tool 1" })
end)
