-- What is known of a host stays true: beside other plays, other users, and time.
local test = ...
local check = require "lib.check"
local scratch = require "lib.scratch"
local stub = require "lib.stub"
local sys = require "kb.core.sys"
local task = require "kb.core.task"
local trail = require "kb.trail"

-- A host with a number that commands add to and a fact asks, slowly.
local function counter()
  local n = 0
  local function answer(text)
    return { code = 0, out = text, err = "" }
  end
  return { run = function()
    task.sleep(0.02)
    n = n + 1
    return answer ""
  end, batch = function(_, commands)
    local results = {}
    for i in ipairs(commands) do
      results[i] = answer(tostring(n))
    end
    task.sleep(0.1)
    return results
  end, stats = function()
    return { trips = n }
  end, alive = function() return true end, close = function() end }
end

local counting = [[
local kb = require "kb"
for _, name in ipairs { "t.n", "t.m" } do
  kb.fact { name = name, command = function() return "" end,
    parse = function(out) return tonumber(out) end }
end
local add = kb.op { name = "t.add", args = {}, plan = function()
  return { actions = { "add" } }
end }
]]

local function count(text, options)
  options = options or {}
  local one = counter()
  options.open = function()
    return one
  end
  local _, summary = stub.run(counting .. text, options)
  check.equal(summary.counts, { failed = 0, unreachable = 0, ended = 0 },
    summary.failures[1] and summary.failures[1].text)
end

test("what was answered before another play's change is asked again", function()
  count [[
kb.play { "asks", hosts = "h1", needs = {}, function(host) assert(host:fact("t.n") == 1) end }
kb.play { "adds", hosts = "h1", needs = {}, function(host) add(host, {}) end }
]]
end)

test("another play's gate takes no answer away", function()
  count [[
kb.play { "asks", hosts = "h1", needs = {}, function(host)
  require("kb.core.task").sleep(0.05)
  assert(host:fact("t.m") == 0)
end }
kb.play { "waits", hosts = "h1", needs = {}, function(host)
  pcall(kb.gate, host, { "n", fact = { "t.n" }, within = 0.2, every = 0.01,
    holds = function(n) return n == 1 end })
end }
]]
end)

test("a gate asks the host also when the answer is known", function()
  count [[
kb.play { "p", hosts = "all", serial = 1, function(host)
  assert(host:fact("t.n") == 0)
  host:read("add")
  assert(not pcall(kb.gate, host, { "n", fact = { "t.n" }, within = 0,
    holds = function(n) return n == 0 end }))
end }
]]
end)

test("a gate of a dry run leaves other facts of its subject known", function()
  count([[
kb.play { "p", hosts = "all", function(host)
  kb.gate(host, { "n", fact = { "t.n" }, holds = function(n) return n == 1 end, becomes = 1 })
  assert(host:fact("t.n") == 1)
  assert(host:fact("t.m") == 0)
end }
]], { apply = false })
end)

test("what a dry run has foretold holds for users that come later", function()
  local dir = check.ok(sys.mkdtemp("/tmp/kbrun-test-"))
  local events = stub.run([[
local kb = require "kb"
local files = kb.use("files")
kb.play { "as root", hosts = "all", become = true, function(host)
  files.directory(host, { host.vars.dir .. "/a" })
end }
kb.play { "as who logs in", hosts = "all", function(host)
  files.file(host, { host.vars.dir .. "/a/f", content = "x" })
end }
]], { vars = { dir = dir }, apply = false })
  sys.remove(dir)
  check.equal(stub.steps(events), { ("changed create directory %s/a"):format(dir),
    ("changed create %s/a/f"):format(dir) })
end)

test("what one host asked of a file of its own, another one is to ask of its own", function()
  local t = trail.new()
  t:note({ "user.self" }, "w1", "")
  t:note({ "file.stat", "/srv/w1/new1/w1.conf" }, "w1", "")
  t:note({ "file.stat", "/srv/w2/new1/w2.conf" }, "w2", "")
  t:note({ "file.exists", "/srv/w10" }, "w1", "")
  check.equal(#t.asked[""], 3)
  check.equal(t:after({ "user.self" }, "w-2", "", 9), { { "file.stat", "/srv/w-2/new1/w-2.conf" },
    { "file.exists", "/srv/w10" } })
  check.equal(t:after({ "file.stat", "/srv/a.b/new1/a.b.conf" }, "a.b", "", 9),
    { { "file.exists", "/srv/w10" } })
end)

-- A host that notes who asks how many questions at a time.
local function listener(asked)
  return { batch = function(_, commands, opts)
    asked[#asked + 1] = ("%s: %s"):format(opts.user or "who logs in",
      table.concat(commands, " "))
    local results = {}
    for i in ipairs(commands) do
      results[i] = { code = 0, out = "x", err = "" }
    end
    return results
  end, stats = function()
    return { trips = #asked }
  end, alive = function() return true end, close = function() end }
end

test("ahead of need a user is asked what that user asked; what is costly is asked alone", function()
  local text, trails, asked = [[
local kb = require "kb"
for name, costly in pairs { ["t.a"] = false, ["t.b"] = false, ["t.slow"] = true } do
  kb.fact { name = name, costly = costly, command = function() return name end,
    parse = function(out) return out end }
end
kb.play { "p", hosts = "all", function(host)
  local root = host:as("root")
  for _, question in ipairs { { host, "t.slow" }, { root, "t.slow" }, { root, "t.a" },
    { root, "t.b" }, { host, "t.b" } } do
    question[1]:fact(question[2])
  end
end }
]], { p = trail.new() }, nil
  for _ = 1, 2 do
    asked = {}
    stub.run(text, { trails = trails, open = function()
      return listener(asked)
    end })
  end
  check.equal(asked, { "who logs in: t.slow", "root: t.slow", "root: t.a t.b",
    "who logs in: t.b" })
end)

test("plays that ask one host at the same time share a shell, and answers", function()
  local asked, at_once, most = {}, 0, 0
  local _, summary = stub.run([[
local kb = require "kb"
for _, name in ipairs { "t.a", "t.b", "t.c", "t.slow" } do
  kb.fact { name = name, costly = name == "t.slow", command = function() return name end,
    parse = function(out) return out end }
end
for i, name in ipairs { "t.b", "t.c", "t.slow" } do
  kb.play { "p" .. i, hosts = "all", needs = {}, function(host)
    host:facts { { name ~= "t.slow" and "t.a" or name }, { name } }
  end }
end
]], { open = function()
    local remote = listener(asked)
    return setmetatable({ batch = function(...)
      at_once = at_once + 1
      most = math.max(most, at_once)
      task.sleep(0.05)
      local results = remote.batch(...)
      at_once = at_once - 1
      return results
    end }, { __index = remote })
  end })
  check.equal(summary.counts.failed, 0)
  check.equal(most, 2, "what is costly keeps nobody waiting")
  table.sort(asked)
  check.equal(asked, { "who logs in: t.a t.b", "who logs in: t.c", "who logs in: t.slow" })
end)

test("the next run asks what this one did, and no address of another day", function()
  local t = trail.new { [""] = { { "user.self" }, { "file.stat", "/old" } },
    root = { { "user.self" } } }
  check.equal(t:kept(), { [""] = { { "user.self" }, { "file.stat", "/old" } },
    root = { { "user.self" } } })
  t:note({ "file.stat", "/new" }, "h1", "")
  t:note({ "user.self" }, "h1", "")
  check.equal(t:kept(), { [""] = { { "user.self" }, { "file.stat", "/new" } } })
end)

test("what a gate asks in a dry run is not asked ahead of need in the run", function()
  local t = trail.new()
  count([[
kb.play { "p", hosts = "all", function(host)
  host:fact("t.m")
  kb.gate(host, { "n", fact = { "t.n" }, holds = function(n) return n == 0 end })
end }
]], { apply = false, trails = { p = t } })
  check.equal(t:kept(), { [""] = { { "t.m" } } })
end)

test("questions of an old trail that nobody can ask any more do no harm", function()
  local _, summary = stub.run([[
local kb = require "kb"
kb.fact { name = "t.old", command = function(path) return "cat " .. kb.quote(path) end,
  parse = function(out) return out end }
kb.play { "p", hosts = "all", function(host) host:fact("user.self") end }
]], { trails = { p = trail.new { [""] = { { "user.self" }, { "t.old" } } } } })
  check.equal(summary.counts.failed, 0)
end)

-- Run a function with a cache of its own for trails, which is gone afterwards.
local function with_cache(fn)
  local dir <close>, before = scratch(), sys.getenv("XDG_CACHE_HOME")
  local _ <close> = setmetatable({}, { __close = function()
    sys.setenv("XDG_CACHE_HOME", before)
  end })
  sys.setenv("XDG_CACHE_HOME", dir.path)
  fn(dir.path .. "/kbrun/trails/")
end

local function save(playbook)
  trail.save({ playbook }, { { name = "p", trail = trail.new { [""] = { { "user.self" } } } } })
end

test("a damaged file of trails costs round trips, not the run", function()
  with_cache(function(dir)
    save "p.lua"
    check.equal(trail.load { "p.lua" }.p.asked, { [""] = { { "user.self" } } })
    for _, text in ipairs { '{"p": 3}', "3", "{", '{"p": {"": [["user.self", null]]}}',
      '{"p": [["user.self"]]}' } do
      sys.write_file(dir .. sys.list(dir)[1], text)
      check.equal((pcall(trail.load, { "p.lua" })), true, text)
    end
  end)
end)

test("of the files of trails those stay that were written last", function()
  with_cache(function(dir)
    save "first.lua"
    save "again.lua"
    stub.shell(("cd %s; touch -d @1000 *; i=0; while [ $i -lt 150 ]; do i=$((i + 1)); "
      .. "touch -d @$((2000 + i)) $i; done"):format(dir))
    save "again.lua"
    local left = sys.list(dir)
    check.equal(#left, 100)
    check.equal(trail.load { "first.lua" }, {})
    check.ok(trail.load { "again.lua" }.p)
    check.equal({ sys.stat(dir .. "51"), check.ok(sys.stat(dir .. "52")).kind }, { nil, "file" })
  end)
end)

test("tests leave nothing in the cache of who runs them", function()
  local cache = sys.getenv("XDG_CACHE_HOME")
  check.ok(cache and cache ~= sys.self().home .. "/.cache", cache or "XDG_CACHE_HOME is not set")
end)

test("a command that takes too long says what it printed so far", function()
  local _, summary = stub.run([[
local kb = require "kb"
local waits = kb.op { name = "t.waits", args = {},
  plan = function() return { title = "wait", actions = { "wait" } } end }
kb.play { "p", hosts = "all", function(host) waits(host, {}) end }
]], { open = function()
    return { run = function()
      return nil, "timed out", "ETIMEDOUT", { out = "half of it\n", err = "" }
    end, alive = function() return true end, close = function() end }
  end })
  check.contains(summary.failures[1].text, "half of it")
end)
