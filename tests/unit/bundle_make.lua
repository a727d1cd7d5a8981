-- Bundles made from declarations: fetched once, pinned, resumed, from mirrors in turn, never half.
local test = ...
local bundle = require "kb.bundle"
local check = require "lib.check"
local crypto = require "kb.core.crypto"
local declaration = require "kb.bundle.declaration"
local download = require "kb.bundle.download"
local make = require "kb.bundle.make"
local json = require "kb.json"
local imagefile = require "lib.imagefile"
local proc = require "kb.core.proc"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"
local task = require "kb.core.task"
local web = require "lib.web"

local big = ("0123456789abcdef"):rep(100000)

-- A bundle's directory, a server, and how to plan and make what is declared.
local function ground()
  local dir = scratch()
  local server = web.start(dir.path)
  local self = { server = server, dir = dir.path .. "/bundle", path = dir.path }
  function self.plan(map, repin)
    map.ca = server.ca
    local wanted = check.ok(declaration.check(map, "declared", dir.path))
    return make.plan(self.dir, wanted, { repin = repin })
  end
  function self.make(map, repin)
    return make.apply(check.ok(self.plan(map, repin)))
  end
  function self.item(name)
    for _, item in ipairs(check.ok(bundle.load(self.dir)).items) do
      if item.name == name then
        return item
      end
    end
  end
  function self.text(name)
    return sys.read_file(bundle.blob(self.dir, self.item(name).sha256))
  end
  return setmetatable(self, { __close = function()
    server:close()
    getmetatable(dir).__close(dir)
  end })
end

local function texts(list)
  local out = {}
  for i, one in ipairs(list) do
    out[i] = one.text or one
  end
  return out
end

test("files are fetched once, and pinned", function()
  local g <close> = ground()
  local url = g.server:put("a", "first")
  g.server:put("b", big)
  check.ok(sys.write_file(g.path .. "/own.conf", "own"))
  local map = { files = { { url = url, version = "1" }, { url = g.server.url .. "b", file = "c" },
    { path = "own.conf" } } }
  local plan = check.ok(g.plan(map))
  check.equal(texts(plan.todo), { "file a 1 from " .. url, "file c from " .. g.server.url .. "b",
    "file own.conf from " .. g.path .. "/own.conf" })
  check.equal(sys.stat(g.dir), nil)
  check.ok(g.make(map))
  check.equal({ g.text "a", g.text "c" == big, g.text "own.conf" }, { "first", true, "own" })
  check.equal({ g.item("a").source, g.item("a").version, g.item("own.conf").source },
    { url, "1", "own.conf" })
  check.equal(sys.stat(g.dir .. "/parts"), nil)
  g.server:forget()
  plan = check.ok(g.plan(map))
  check.equal({ #plan.todo, #plan.dropped, #g.server:asked() }, { 0, 0, 0 })
end)

test("several are fetched at a time, and no more than are asked for", function()
  local g <close> = ground()
  local map = { files = {} }
  for i = 1, 6 do
    map.files[i] = { url = g.server:put("f" .. i, "text " .. i) }
    g.server:misbehave("f" .. i, "together=" .. (i <= 3 and 3 or 6))
  end
  local running, most = {}, 0
  local plan = check.ok(g.plan(map))
  for _, todo in ipairs(plan.todo) do
    local run = todo.run
    todo.run = function()
      running[todo] = true
      local n = 0
      for _ in pairs(running) do
        n = n + 1
      end
      most = math.max(most, n)
      local _ <close> = setmetatable({}, { __close = function()
        running[todo] = nil
      end })
      return run()
    end
  end
  check.ok(make.apply(plan, { parallel = 3 }))
  check.equal({ most, g.text "f6" }, { 3, "text 6" })
end)

test("what has changed is an error that says what to do; a version or repin accept it", function()
  local g <close> = ground()
  local url = g.server:put("a", "first")
  local map = { files = { { url = url } } }
  check.ok(g.make(map))
  g.server:put("a", "second")
  check.ok(sys.remove(bundle.blob(g.dir, g.item("a").sha256)))
  local _, message = g.make(map)
  check.contains(message, crypto.digest("sha256", "first") .. " is pinned")
  check.equal(g.item("a").sha256, crypto.digest("sha256", "first"))
  check.ok(g.make(map, { "a" }))
  check.equal(g.text "a", "second")
  g.server:put("a", "third")
  map.files[1].version = "3"
  check.equal(#check.ok(g.plan(map)).dropped, 1)
  check.ok(g.make(map))
  check.equal(g.text "a", "third")
  map.files[1].sha256 = ("0"):rep(64)
  local plan
  plan, message = g.plan(map)
  check.equal(plan, nil)
  check.contains(message, "file a 3 is pinned with sha256 " .. crypto.digest("sha256", "third"))
  check.contains(message, "--extra repin=a")
end)

test("a file of this machine that has changed is an error too", function()
  local g <close> = ground()
  check.ok(sys.write_file(g.path .. "/own.conf", "own"))
  local map = { files = { { path = "own.conf" } } }
  check.ok(g.make(map))
  check.ok(sys.write_file(g.path .. "/own.conf", "other"))
  local plan, message = g.plan(map)
  check.equal(plan, nil)
  check.contains(message, "file own.conf was pinned")
  check.ok(g.make(map, { "own.conf" }))
  check.equal(g.text "own.conf", "other")
end)

test("what was cut goes on where it was, also in another run", function()
  local g <close> = ground()
  local url = g.server:put("a", big)
  g.server:misbehave("a", "cut=700000")
  check.ok(g.make { files = { { url = url } } })
  check.equal(g.text "a" == big, true)
  check.equal(g.server:asked(), { "a - 200", "a 700000- 206", "a 1400000- 206" })
  g.server:forget()
  url = g.server:put("b", big)
  g.server:misbehave("b", "stall=500000")
  local t = task.spawn(g.make, { files = { { url = url } } })
  local part = download.part(g.dir, { urls = { url } })
  do
    local _ <close> = task.within(20)
    repeat
      check.ok(task.sleep(0.02))
    until (sys.stat(part) or { size = 0 }).size > 400000
  end
  t:cancel("enough")
  pcall(t.join, t)
  g.server:misbehave("b", nil)
  check.ok(g.make { files = { { url = url } } })
  check.equal(g.text "b" == big, true)
  local asked = g.server:asked()
  check.equal({ #asked, asked[1] }, { 2, "b - 200" })
  check.equal(tonumber(asked[2]:match("^b (%d+)%- 206$")) > 400000, true, asked[2])
end)

test("a part of another version, or one that nobody vouches for, is not gone on with", function()
  local g <close> = ground()
  local url = g.server:put("a", big)
  local map = { files = { { url = url } } }
  local part = download.part(g.dir, { urls = { url } })
  local function left(how)
    sys.mkdir(g.dir .. "/parts")
    sys.mkdir(g.dir .. "/blobs/sha256")
    check.ok(sys.write_file(part, ("x"):rep(1000)))
    check.ok(sys.write_file(part .. ".json", how))
  end
  left(('{"url": "%s", "validator": "\\"other\\""}'):format(url))
  check.ok(g.make(map))
  check.equal({ g.text "a" == big, g.server:asked() }, { true, { "a 1000- 206", "a - 200" } })
  g.server:forget()
  left(('{"url": "%s"}'):format(url))
  check.ok(g.make(map, { "a" }))
  sys.remove(bundle.blob(g.dir, g.item("a").sha256))
  left("rubbish")
  check.ok(g.make(map))
  check.equal(g.text "a" == big, true)
end)

test("a server without ranges is asked for the whole again", function()
  local g <close> = ground()
  local url = g.server:put("a", big)
  local sha256 = crypto.digest("sha256", big)
  g.server:misbehave("a", "no-ranges")
  sys.mkdir(g.dir .. "/parts")
  check.ok(sys.write_file(g.dir .. "/parts/" .. sha256, big:sub(1, 1000)))
  check.ok(g.make { files = { { url = url, sha256 = sha256 } } })
  check.equal(g.text "a" == big, true)
  check.equal(g.server:asked(), { "a - 200", "a - 200" })
end)

test("mirrors are tried in turn: one is away, one wrong, one cuts for ever, one is good", function()
  local g <close> = ground()
  local sha256 = crypto.digest("sha256", big)
  local urls = { "https://127.0.0.1:1/a", g.server.url .. "none", g.server:put("wrong", "wrong"),
    g.server:put("cut", big), g.server:put("good", big) }
  g.server:misbehave("cut", "cut=0")
  local map = { files = { { urls = urls, sha256 = sha256, file = "a" } } }
  check.ok(g.make(map))
  check.equal({ g.text "a" == big, g.item("a").source }, { true, urls[5] })
  check.equal(g.server:asked(), { "none - 404", "wrong - 200", "cut - 200", "cut - 200",
    "cut - 200", "good - 200" })
  sys.remove(bundle.blob(g.dir, sha256))
  g.server:misbehave("good", "status=503")
  local _, message = g.make(map)
  for _, words in ipairs { "127.0.0.1:1/a: ", "none: ", "404", "wrong: it has the SHA-256",
    "good: ", "503" } do
    check.contains(message, words)
  end
  check.equal(g.item("a").sha256, sha256, "the pin is still there")
end)

test("what fails does not undo the rest, and the next run fetches only what is missing", function()
  local g <close> = ground()
  g.server:put("a", "a")
  g.server:put("b", "b")
  g.server:misbehave("b", "status=500")
  local map = { files = { { url = g.server.url .. "a" }, { url = g.server.url .. "b" } } }
  local ok, message = g.make(map)
  check.equal(ok, nil)
  check.contains(message, "file b from")
  check.equal({ g.text "a", g.item "b" }, { "a" })
  g.server:misbehave("b", nil)
  g.server:forget()
  check.ok(g.make(map))
  check.equal({ g.text "b", g.server:asked() }, { "b", { "b - 200" } })
  local plan = check.ok(g.plan { files = { map.files[1] } })
  check.equal({ #plan.todo, plan.dropped }, { 0, { "file b" } })
  check.ok(make.apply(plan))
  check.equal({ #sys.list(g.dir .. "/blobs/sha256"), g.item "b" }, { 1 })
end)

test("only one makes a bundle at a time", function()
  local g <close> = ground()
  sys.mkdir(g.dir)
  local lock = check.ok(sys.lock(g.dir .. "/.lock"))
  local _, message = g.make { files = {} }
  check.contains(message, "another kbrun is making the bundle")
  sys.unlock(lock)
  local plan = check.ok(g.plan { files = {} })
  check.ok(g.make { files = {} })
  _, message = make.apply(plan)
  check.contains(message, "has changed since it was looked at")
end)

test("images of archives are pinned by their ids", function()
  local g <close> = ground()
  local first = imagefile.image { imagefile.layer "one" }
  local second = imagefile.image { imagefile.layer "two" }
  local function write(image)
    imagefile.write({ path = g.path }, "i.tar", imagefile.docker_files(image, { "lab/web:1.0" }))
  end
  local map = { images = { { archive = "*.tar" } } }
  write(first)
  check.ok(g.make(map))
  check.equal({ g.item("lab/web:1.0").id, g.item("lab/web:1.0").source }, { first.id, "i.tar" })
  check.equal(#check.ok(g.plan(map)).todo, 0)
  write(second)
  local plan, message = g.plan(map)
  check.equal(plan, nil)
  check.contains(message, "image lab/web:1.0 was pinned with sha256 " .. first.id:sub(8))
  check.ok(g.make(map, { "lab/web:1.0" }))
  check.equal(g.item("lab/web:1.0").id, second.id)
end)

test("a name for two images is refused, and an image without a name", function()
  local g <close> = ground()
  local images = {}
  for i, name in ipairs { "one", "two" } do
    images[i] = imagefile.image { imagefile.layer(name) }
    imagefile.write({ path = g.path }, name .. ".tar", imagefile.docker_files(images[i],
      { "lab/web:1.0" }))
  end
  local map = { images = { { archive = "*.tar" } } }
  local plan, message = g.plan(map)
  check.equal(plan, nil)
  for _, words in ipairs { "image lab/web:1.0", "one.tar", "two.tar" } do
    check.contains(message, words)
  end
  plan, message = g.plan { images = { { archive = "one.tar" }, { name = "lab/web:1.0" } } }
  check.equal(plan, nil)
  check.contains(message, "image lab/web:1.0")
  imagefile.write({ path = g.path }, "two.tar", imagefile.docker_files(images[1],
    { "lab/web:1.0", "lab/web:2.0" }))
  check.ok(g.make(map))
  check.equal(g.item("lab/web:2.0").id, images[1].id)
  local files = imagefile.docker_files(images[1], { "lab/web:1.0" })
  local other = imagefile.docker_files(images[2], {})
  local both = json.decode(files[3][2])
  both[2] = json.decode((other[3][2]:gsub("layer1", "layer2")))[1]
  imagefile.write({ path = g.path }, "two.tar", { files[1], files[2],
    { "layer2/layer.tar", other[1][2] }, other[2], { "manifest.json", json.encode(both) } })
  plan, message = g.plan(map)
  check.equal(plan, nil)
  check.contains(message, "two.tar: the image " .. images[2].id .. " has no name")
end)

test("packages of one's own that are the same version of one are refused", function()
  local g <close> = ground()
  for i, dir in ipairs { "a", "b" } do
    check.ok(sys.mkdir(g.path .. "/" .. dir .. "/tree/DEBIAN"))
    check.ok(sys.write_file(g.path .. "/" .. dir .. "/tree/DEBIAN/control",
      ("Package: kb-x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\n"
      .. "Description: %d\n"):format(i), 420))
    check.equal(program.run({ "dpkg-deb", "-b", g.path .. "/" .. dir .. "/tree",
      g.path .. "/" .. dir .. "/x.deb" }).status, 0)
  end
  local plan, message = g.plan { packages = { debs = { "a/x.deb", "b/x.deb" } } }
  check.equal(plan, nil)
  for _, words in ipairs { "deb kb-x 1", "a/x.deb", "b/x.deb" } do
    check.contains(message, words)
  end
end)

test("what a full disk has not taken is no blob", function()
  local g <close> = ground()
  local url = g.server:put("small", "0123456789")
  local part, open = download.part(g.dir, { urls = { url } }), io.open
  do
    local _ <close> = setmetatable({}, { __close = function()
      io.open = open -- luacheck: ignore 122
    end })
    function io.open(path, mode) -- luacheck: ignore 122
      if path == part and mode == "ab" then
        check.ok(sys.write_file(part, ""))
        path = "/dev/full"
      end
      return open(path, mode)
    end
    local ok, message = g.make { files = { { url = url } } }
    check.equal(ok, nil)
    check.contains(message, "No space left on device")
    check.contains(message, part)
  end
  check.ok(g.make { files = { { url = url } } })
  check.equal(g.text "small", "0123456789")
end)

test("what is of another architecture is refused", function()
  local g <close> = ground()
  imagefile.write({ path = g.path }, "i.tar", imagefile.docker_files(imagefile.image {
    imagefile.layer "one" }, { "lab/web:1.0" }))
  local plan, message = g.plan { arch = "arm64", images = { { archive = "i.tar" } } }
  check.equal(plan, nil)
  check.contains(message, "i.tar is for amd64, and the declaration says arch: arm64")
end)

local faults = {
  { { fils = {} }, "fils: not known here; known are arch" },
  { { files = { { url = "https://example.org/a", path = "a" } } }, "either url (or urls) or path" },
  { { files = { { urls = {} } } }, "either url (or urls) or path" },
  { { files = { { url = "ftp://example.org/a" } } },
    "ftp://example.org/a is refused: say protocols:" },
  { { files = { { url = "file:///etc/passwd" } } }, "is refused: say protocols: [https, file]" },
  { { files = { { url = "example.org" } } }, '"example.org" is not a URL' },
  { { protocols = { "http" }, files = { { url = "http://example.org/a" } } }, "give its sha256" },
  { { files = { { url = "https://example.org:secret@example.org/a" } } }, "~/.netrc" },
  { { files = { { url = "https://example.org/a", sha256 = "12" } } }, "64 hexadecimal digits" },
  { { files = { { url = "https://example.org/" } } }, "file: a plain name was expected" },
  { { files = { { url = "https://example.org/a", file = "../b" } } }, "file: a plain name" },
  { { files = { { url = "https://example.org/Packages" } } }, "apt's index" },
  { { files = { { url = "https://example.org/a" }, { url = "https://www.example.org/a" } } },
    "file a is declared twice" },
  { { images = { { from = { "x" } } } }, "either name or archive" },
  { { images = { { archive = "no-such-*.tar" } } }, "no file is called no-such-*.tar" },
  { { images = { { name = "x", insecure = "yes" } } }, "insecure: true or false" },
  { { packages = { names = 5 } }, "names: a text or a list of texts" },
  { { packages = { installed = "/nonexistent/status" } }, "no file /nonexistent/status" },
  { { packages = "docker.io" }, "packages: a map was expected" },
  { { files = { url = "https://example.org/a" } }, "files: a list was expected" },
}

test("what is wrong in a declaration is named", function()
  for _, fault in ipairs(faults) do
    local wanted, message = declaration.check(fault[1], "declared", "/tmp")
    check.equal(wanted, nil, fault[2])
    check.contains(message, fault[2])
  end
  local dir <close> = scratch()
  check.ok(sys.write_file(dir.path .. "/d.yaml", "arch: amd64\nfiles:\n- urls: []\n  nme: x\n"))
  local _, message = declaration.load(dir.path .. "/d.yaml")
  check.contains(message, dir.path .. "/d.yaml:4: nme: not known here")
  check.ok(sys.write_file(dir.path .. "/d.lua", "return { arch = 'arm64' }"))
  check.equal(check.ok(declaration.load(dir.path .. "/d.lua")).arch, "arm64")
  check.ok(sys.write_file(dir.path .. "/d.lua", "return os.getenv 'HOME'"))
  _, message = declaration.load(dir.path .. "/d.lua")
  check.contains(message, "d.lua")
end)

test("the playbook makes one; a dry run says what would be fetched and does nothing", function()
  local g <close> = ground()
  g.server:put("a", "text")
  check.ok(sys.write_file(g.path .. "/wanted.yaml",
    ("ca: %s\nfiles:\n- url: %sa\n"):format(g.server.ca, g.server.url)))
  local function play(...)
    local r = program.run({ program.kbrun, sys.self().cwd .. "/playbooks/bundle.lua", "-e",
      "bundle=" .. g.dir, "-e", "declaration=" .. g.path .. "/wanted.yaml", ... },
      { cwd = g.path, env = { KBRUN_INVENTORY = "" } })
    check.equal(r.status, 0, r.out .. r.err)
    return r.out
  end
  local said = play("--dry-run")
  check.contains(said, "fetch 1 item")
  check.contains(said, "+file a from " .. g.server.url .. "a")
  check.equal({ sys.stat(g.dir), #g.server:asked() }, { nil, 0 })
  check.contains(play(), "1 change made")
  check.equal(g.text "a", "text")
  check.contains(play(), "0 changes made, 1 as asked")
  check.equal(#g.server:asked(), 1)
end)

test("a run that is killed leaves bundle.yaml whole, and the next one goes on", function()
  local g <close> = ground()
  g.server:put("a", "text")
  local url = g.server:put("b", big)
  check.ok(g.make { files = { { url = g.server.url .. "a" } } })
  local before = sys.read_file(bundle.path(g.dir))
  check.ok(sys.write_file(g.path .. "/wanted.yaml", ("ca: %s\nfiles:\n- url: %sa\n- url: %s\n")
    :format(g.server.ca, g.server.url, url)))
  g.server:forget()
  g.server:misbehave("b", "stall=500000")
  local argv = { program.kbrun, sys.self().cwd .. "/playbooks/bundle.lua", "-e",
    "bundle=" .. g.dir, "-e", "declaration=" .. g.path .. "/wanted.yaml" }
  local process = check.ok(proc.spawn { argv = argv, cwd = g.path, stdin = "null",
    stdout = "null", stderr = "null" })
  local part = download.part(g.dir, { urls = { url } })
  do
    local _ <close> = task.within(60)
    repeat
      check.ok(task.sleep(0.02))
    until (sys.stat(part) or { size = 0 }).size > 400000
  end
  process:kill(9)
  check.equal({ process:wait() }, { nil, "KILL" })
  check.equal(sys.read_file(bundle.path(g.dir)), before)
  g.server:misbehave("b", nil)
  local r = program.run(argv, { cwd = g.path })
  check.equal(r.status, 0, r.out .. r.err)
  check.equal(g.text "b" == big, true)
  local asked = g.server:asked()
  check.equal({ #asked, asked[1] }, { 2, "b - 200" })
  check.equal(tonumber(asked[2]:match("^b (%d+)%- 206$")) > 400000, true, asked[2])
end)
