local test = ...
local check = require "lib.check"
local stub = require "lib.stub"
local sys = require "kb.core.sys"

local with_dir = stub.with_dir

local three_steps = [[
local kb = require "kb"
local files = kb.use("files")
kb.play { "files", hosts = "all", serial = 1, function(host)
  local root = host.vars.root
  files.directory(host, { root .. "/a/b", mode = "0750" })
  files.line(host, { root .. "/a/b/f", line = "one", create = true })
  files.line(host, { root .. "/a/b/f", line = "two" })
  files.link(host, { root .. "/l", to = "a/b/f" })
end }
]]

test("a dry run knows in later steps what earlier ones would have done", function()
  with_dir(function(dir)
    local events, summary = stub.run(three_steps, { vars = { root = dir }, apply = false })
    check.equal(stub.steps(events), {
      "changed create directory " .. dir .. "/a/b", "changed create " .. dir .. "/a/b/f",
      "changed change " .. dir .. "/a/b/f", "changed link " .. dir .. "/l -> a/b/f" })
    check.equal(summary.counts, { failed = 0, unreachable = 0, ended = 0 })
    check.equal(sys.list(dir), {})
    for _, e in ipairs(events) do
      if e.title == "change " .. dir .. "/a/b/f" then
        check.equal(e.diff, "@@ -1,1 +1,2 @@\n one\n+two")
      end
    end
  end)
end)

test("the run does what the dry run said, and the next run nothing", function()
  with_dir(function(dir)
    local said = stub.run(three_steps, { vars = { root = dir }, apply = false, dir = dir })
    local done = stub.run(three_steps, { vars = { root = dir }, verify = true, dir = dir })
    check.equal(stub.steps(done), stub.steps(said))
    check.equal(sys.read_file(dir .. "/a/b/f"), "one\ntwo\n")
    check.equal(sys.stat(dir .. "/a/b").mode, tonumber("750", 8))
    local again, _, remotes = stub.run(three_steps, { vars = { root = dir }, dir = dir })
    for _, e in ipairs(again) do
      check.ok(e.event ~= "step" or e.status == "same", e.title)
    end
    check.equal(remotes.h1.log, {})
  end)
end)

local brought = [[
local kb = require "kb"
local command, files, users = kb.use("command", "files", "users")
kb.play { "brought", hosts = "all", function(host)
  local root = host.vars.root
  if host.vars.brings then
    command.run(host, { "mkdir " .. root .. "/d && echo a >" .. root .. "/d/f" })
  end
  files.file(host, { root .. "/d/own", content = "x" })
  files.line(host, { root .. "/d/f", line = "b" })
end }
]]

test("what is missing may be there after a change that does not say all that it brings", function()
  with_dir(function(dir)
    local vars = { root = dir, brings = true }
    local said = stub.run(brought, { vars = vars, apply = false, dir = dir })
    check.equal(stub.steps(said), {
      "changed run: mkdir " .. dir .. "/d && echo a >" .. dir .. "/d/f",
      "changed create " .. dir .. "/d/own", "unknown change " .. dir .. "/d/f" })
    for _, e in ipairs(said) do
      if e.title == "create " .. dir .. "/d/own" then
        check.contains(e.reason, dir .. "/d does not exist now; known after: run: mkdir")
      end
    end
    stub.run(brought, { vars = vars, dir = dir })
    check.equal(sys.read_file(dir .. "/d/f"), "a\nb\n")
  end)
end)

test("what is missing and nothing may bring is refused in a dry run, too", function()
  with_dir(function(dir)
    local _, summary = stub.run(brought, { vars = { root = dir, brings = false }, apply = false })
    check.equal(summary.counts.failed, 1)
  end)
end)

test("steps have the same id in the dry run and in the run", function()
  with_dir(function(dir)
    local function ids(apply)
      local list = {}
      local events = stub.run(three_steps, { vars = { root = dir }, apply = apply, dir = dir })
      for _, e in ipairs(events) do
        if e.event == "step" and e.status ~= "running" then
          list[#list + 1] = e.id
        end
      end
      return list
    end
    check.equal(ids(false), ids(true))
  end)
end)

test("the host that comes second asks everything ahead of need, in one round trip", function()
  with_dir(function(dir)
    stub.run(three_steps, { vars = { root = dir } })
    local _, summary, remotes = stub.run(three_steps, { hosts = { "h1", "h2" },
      vars = { root = dir } })
    check.equal(remotes.h1.trips, 3)
    check.equal(remotes.h2.trips, 1)
    check.equal(summary.trips, { h1 = 3, h2 = 1 })
  end)
end)

local function failure_of(events)
  for _, event in ipairs(events) do
    if event.event == "host" and event.error then
      return event.error
    end
  end
end

test("a failing command names file, line, host, command, status and output", function()
  local events = stub.run([[
local kb = require "kb"
local breaks = kb.op { name = "t.breaks", args = {}, plan = function()
  return { title = "break", actions = { "echo oops >&2; exit 3" } }
end, evidence = function() return { "echo the evidence" } end }
kb.play { "p", hosts = "all", function(host)
  breaks(host, {})
end }
]], {})
  local text = tostring(failure_of(events))
  for _, words in ipairs { "playbook.lua:6:", "h1: break failed", "echo oops", "exit status 3",
    "oops", "the evidence" } do
    check.contains(text, words)
  end
end)

test("a playbook's own failure shows what commands print", function()
  local function fails(evidence)
    return failure_of(stub.run(([[
local kb = require "kb"
kb.play { "p", hosts = "all", function(host) host:fail("no", { evidence = %s }) end }
]]):format(evidence), {})).evidence
  end
  check.equal(fails '"as it is"', "as it is")
  check.equal(fails '{ "# in words\\necho one", "true", "echo two" }',
    "# in words\none\n$ echo two\ntwo")
end)

test("where there is no space left, the full disks are named", function()
  with_dir(function(dir)
    check.ok(sys.write_file(dir .. "/df", "#!/bin/sh\necho /dev/a 9G 9G 0 100% /a\n"
      .. "echo /dev/b 9G 1G 8G 12% /b\n", tonumber("755", 8)))
    local path = sys.getenv "PATH"
    local _ <close> = setmetatable({}, { __close = function()
      sys.setenv("PATH", path)
    end })
    sys.setenv("PATH", dir .. ":" .. path)
    local full = { run = function(_, command)
      return stub.shell(command)
    end, put = function()
      return nil, "f: cat: No space left on device", "EIO"
    end, alive = function()
      return true
    end, stats = function()
      return { trips = 0 }
    end, close = function() end }
    for _, action in ipairs { '"echo No space left on device >&2; exit 1"',
      '{ put = { path = "/f", content = "x" } }' } do
      local e = failure_of(stub.run(([[
local kb = require "kb"
local fills = kb.op { name = "t.fills", args = {}, plan = function()
  return { title = "fill", actions = { %s } }
end, evidence = function() return { "echo more" } end }
kb.play { "p", hosts = "all", function(host)
  fills(host, {})
end }
]]):format(action), { open = function()
        return full
      end }))
      check.equal(e.evidence, "# disks that are full: size, used, free; or inodes\n"
        .. ("/dev/a 9G 9G 0 100% /a\n"):rep(2) .. "$ echo more\nmore")
    end
  end)
end)

test("an effect that does not come true fails with --verify", function()
  with_dir(function(dir)
    local events, summary = stub.run([[
local kb = require "kb"
require "modules.files.facts"
local lies = kb.op { name = "t.lies", args = {}, plan = function()
  return { title = "lie", actions = { "true" },
    effect = { { "file.stat", "]] .. dir .. [[/x", { kind = "file" } } } }
end }
kb.play { "p", hosts = "all", function(host)
  lies(host, {})
end }
]], { verify = true })
    check.equal(summary.counts.failed, 1)
    check.contains(tostring(events[#events - 1].error), "stated file, found absent")
  end)
end)

test("looking inside what is not known ends that host's preview, and says so", function()
  local events, summary = stub.run([[
local kb = require "kb"
local gives = kb.op { name = "t.gives", args = {}, returns = { "out" }, plan = function()
  return { title = "make a token", actions = { "echo token" },
    result = function(outcomes) return { out = outcomes[1].out } end }
end }
local takes = kb.op { name = "t.takes", args = { { "token", "string", "", unknown = true } },
  plan = function(args) return { title = "use " .. tostring(args.token) } end }
kb.play { "p", hosts = "all", function(host)
  local r = gives(host, {})
  local token = kb.after(r, function(got) return got.out:match("%S+") end)
  takes(host, { token = "t:" .. token })
  if r.out == "x" then error("never") end
end }
]], { apply = false })
  check.equal(summary.counts.ended, 1)
  check.equal(stub.steps(events)[2], "changed use t:(known after: make a token on h1)")
end)

test("one host gives a value, the others wait; nobody left to give it is an error", function()
  local text = [[
local kb = require "kb"
local token = kb.value "the token"
kb.play { "p", hosts = "all", function(host)
  if host.name == "h1" then
    if host.vars.give then token:set("abc") end
  else
    assert(token:get() == "abc")
  end
end }
]]
  local _, summary = stub.run(text, { hosts = { "h3", "h2", "h1" }, vars = { give = true } })
  check.equal(summary.counts.failed, 0)
  local _, failed = stub.run(text, { hosts = { "h3", "h2", "h1" }, vars = { give = false } })
  check.equal(failed.counts.failed, 2)
  check.contains(failed.failures[1].text, "playbook.lua:7: nobody is left to give the token")
  check.equal(#failed.failures, 1, "equal failures are one entry")
end)

test("once is done by one host, and fails for all", function()
  local _, summary = stub.run([[
local kb = require "kb"
local n = 0
kb.play { "p", hosts = "all", function(host)
  local v = kb.once(host, "count", function() n = n + 1 return n end)
  assert(v == 1)
end }
]], { hosts = { "h1", "h2", "h3" } })
  check.equal(summary.counts.failed, 0)
end)

test("plays run when what they need is done; a stopped play stops those that need it", function()
  local events = stub.run([[
local kb = require "kb"
kb.play { "a", hosts = "all", max_fail = 0, function(host) host:fail("no") end }
kb.play { "b", hosts = "all", needs = {}, function() end }
kb.play { "c", hosts = "all", needs = { "a" }, function() error("never") end }
]], { hosts = { "h1" } })
  local status = {}
  for _, e in ipairs(events) do
    if e.event == "play" and e.status ~= "started" then
      status[e.play] = e.status
    end
  end
  check.equal(status, { a = "stopped", b = "done", c = "skipped" })
end)

test("serial takes hosts in batches; a failed host is out of later plays", function()
  local events = stub.run([[
local kb = require "kb"
local at_once, most = 0, 0
kb.play { "a", hosts = "all", serial = 2, function(host)
  at_once = at_once + 1
  most = math.max(most, at_once)
  require("kb.core.task").sleep(0.01)
  at_once = at_once - 1
  if host.name == "h2" then host:fail("broken") end
end }
kb.play { "b", hosts = "all", function(host)
  assert(most == 2)
  assert(host.name ~= "h2")
end }
]], { hosts = { "h1", "h2", "h3", "h4", "h5" } })
  local done = 0
  for _, e in ipairs(events) do
    done = done + ((e.event == "host" and e.play == "b" and e.status == "done") and 1 or 0)
  end
  check.equal(done, 4)
end)

-- The greatest number of five hosts that the play works on at once.
local function most_at_once(play_forks, run_forks)
  local events = stub.run(([[
local kb = require "kb"
local at_once, most = 0, 0
kb.play { "a", hosts = "all", forks = %d, function(host)
  at_once = at_once + 1
  most = math.max(most, at_once)
  require("kb.core.task").sleep(0.01)
  at_once = at_once - 1
end }
kb.play { "b", hosts = "h1", function(host) host:fail(("most %%d"):format(most)) end }
]]):format(play_forks), { hosts = { "h1", "h2", "h3", "h4", "h5" }, forks = run_forks })
  for _, e in ipairs(events) do
    if e.event == "host" and e.play == "b" and e.error then
      return math.tointeger(tostring(e.error.message):match("most (%d+)"))
    end
  end
end

test("no more hosts are worked on at once than the play and the run want", function()
  check.equal(most_at_once(500, nil), 5)
  check.equal(most_at_once(3, 50), 3)
  check.equal(most_at_once(500, 2), 2)
end)

local function refused(text, words, options)
  options = options or {}
  options.open = function()
    error("nothing may be connected")
  end
  return check.raises(words, stub.run, text, options)
end

test("a play of a playbook beside this one, not part of the run, counts as done", function()
  with_dir(function(dir)
    check.ok(sys.write_file(dir .. "/first.lua",
      'local kb = require "kb" kb.play { "first", hosts = "all", function() end }'))
    check.ok(sys.write_file(dir .. "/notes.lua", "this is no playbook"))
    local second = 'local kb = require "kb" kb.play { "second", hosts = "all", needs = { "%s" }, '
      .. 'function(host) kb.use("files").file(host, { host.vars.root .. "/f" }) end }'
    stub.run(second:format("first"), { vars = { root = dir }, dir = dir })
    check.equal(sys.read_file(dir .. "/f"), "")
    refused(second:format("fist"), 'did you mean "first"?', { vars = { root = dir }, dir = dir })
  end)
end)

test("mistakes are found before anything is connected", function()
  refused('local kb = require "kb" kb.play { "p", hosts = "nosuch", function() end }',
    "no host or group is called 'nosuch'")
  refused('local kb = require "kb" kb.play { "p", host = "all", function() end }',
    'no argument \'host\'; did you mean "hosts"?')
  refused('local kb = require "kb" kb.use("fiels")', 'did you mean "files"?')
  refused('local kb = require "kb" kb.use("files").tempalte()', 'did you mean "template"?')
  refused('kb.play {}', "'kb' is not defined")
  refused('x = 1', "would be a global variable")
  refused('local kb = require "kb" kb.play { "a", hosts = "all", needs = { "b" }, function() end } '
    .. 'kb.play { "b", hosts = "all", needs = { "a" }, function() end }', "plays need each other")
  refused('local kb = require "kb" kb.play { "a", hosts = "all", serial = "x", function() end }',
    "neither a number nor a percentage")
  refused('return 1', "declares no play")
end)

test("a play that is about to start is somebody who may still give a value", function()
  local _, summary = stub.run([[
local kb = require "kb"
local token = kb.value "the token"
kb.play { "waits", hosts = "h2", needs = {}, function() assert(token:get() == "abc") end }
kb.play { "first", hosts = "h1", needs = {}, function() end }
kb.play { "gives", hosts = "h1", needs = { "first" }, function() token:set("abc") end }
]], { hosts = { "h1", "h2" } })
  check.equal(summary.counts.failed, 0, summary.failures[1] and summary.failures[1].text)
end)

test("what a value lets go on may give another one", function()
  local _, summary = stub.run([[
local kb = require "kb"
local a, b = kb.value "a", kb.value "b"
kb.play { "p", hosts = "all", function(host)
  if host.name == "h1" then a:set(1)
  elseif host.name == "h2" then a:get() b:set(2)
  else assert(b:get() == 2) end
end }
]], { hosts = { "h3", "h2", "h1" } })
  check.equal(summary.counts.failed, 0, summary.failures[1] and summary.failures[1].text)
end)

test("once goes to the next host when the one that does it is stopped", function()
  local _, summary = stub.run([[
local kb = require "kb"
local task = require "kb.core.task"
kb.play { "stops", hosts = "all", max_fail = 0, needs = {}, function(host)
  if host.name == "h1" then
    kb.once(host, "x", function() task.sleep(20) end)
  else
    task.sleep(0.02)
    host:fail("no")
  end
end }
kb.play { "goes on", hosts = "h3", needs = {}, function(host)
  task.sleep(0.01)
  host:fail("got " .. tostring(kb.once(host, "x", function() return "mine" end)))
end }
]], { hosts = { "h1", "h2", "h3" } })
  local texts = {}
  for _, failure in ipairs(summary.failures) do
    texts[#texts + 1] = failure.text
  end
  check.contains(table.concat(texts, "\n"), "got mine")
end)

test("a host that needs one that cannot be reached has failed; it is not unreachable", function()
  local _, summary = stub.run([[
local kb = require "kb"
kb.play { "p", hosts = "all", function(host)
  kb.once(host, "x", function() kb.on(host, "h1", function(h1) h1:read("true") end) end)
end }
]], { hosts = { "h1", "h2" }, open = function()
    return nil, "no route to h1", "EUNREACHABLE"
  end })
  check.equal(summary.lost.h1.outcome, "unreachable")
  check.equal(summary.lost.h2.outcome, "failed")
end)

test("a host that fails in two plays side by side is one host", function()
  local _, summary = stub.run([[
local kb = require "kb"
for _, name in ipairs { "one", "two" } do
  kb.play { name, hosts = "all", needs = {}, function(host)
    require("kb.core.task").sleep(0.02)
    host:fail("no")
  end }
end
]], { hosts = { "h1" } })
  check.equal(summary.counts.failed, 1)
  check.equal(#summary.failures, 1)
end)

test("steps have ids of their own also in loops and on other hosts", function()
  local events = stub.run([[
local kb = require "kb"
local acts = kb.op { name = "t.acts", args = {}, plan = function() return { actions = {} } end }
kb.play { "p", hosts = "all", function(host)
  for _ = 1, 2 do
    kb.on(host, "h1", function(h1)
      acts(h1, {})
      kb.gate(h1, { "it is so", fact = { "user.self" }, holds = function() return true end })
    end)
  end
end }
]], { hosts = { "h1", "h2" } })
  local seen, n = {}, 0
  for _, e in ipairs(events) do
    if e.event == "step" and e.status ~= "running" then
      check.ok(not seen[e.host .. e.id], e.id)
      seen[e.host .. e.id], n = true, n + 1
    end
  end
  check.equal(n, 8)
end)

test("max_fail is checked before anything is connected, and 0% is none", function()
  refused('local kb = require "kb" kb.play { "a", hosts = "all", max_fail = "x", function() end }',
    "neither a number nor a percentage")
  refused('local kb = require "kb" kb.play { "a", hosts = "all", max_fail = -1, function() end }',
    "neither a number nor a percentage")
  local events = stub.run([[
local kb = require "kb"
kb.play { "a", hosts = "all", max_fail = "0%", function(host) host:fail("no") end }
]], {})
  check.equal(events[#events].status, "stopped")
end)

test("an interrupted run ends what runs, and tells what was done and where it stood", function()
  local task, runs, closed = require "kb.core.task", {}, false
  local main = task.spawn(stub.run, [[
local kb = require "kb"
local acts = kb.op { name = "t.acts", args = { { "run", "string", "", at = 1 } },
  plan = function(args) return { title = args.run, actions = { args.run } } end }
kb.play { "p", hosts = "all", function(host)
  acts(host, "short")
  acts(host, "long")
end }
]], { open = function()
    return { run = function(_, command)
      local _ <close> = setmetatable({}, { __close = function()
        runs[#runs + 1] = command .. (closed and " after the connection" or "")
      end })
      task.sleep(command == "long" and 20 or 0)
      return { code = 0, out = "", err = "" }
    end, stats = function()
      return { trips = #runs }
    end, alive = function()
      return true
    end, close = function()
      closed = true
    end }
  end })
  while #runs == 0 do
    task.sleep(0.01)
  end
  main:cancel("interrupted")
  local events, summary = main:join()
  check.equal(stub.steps(events), { "changed short", "cancelled long" })
  check.equal(runs, { "short", "long" })
  check.ok(closed and summary.interrupted)
  check.equal(summary.cancelled, { "h1" })
  check.equal(summary.steps.changed, 1)
  check.contains(require("kb.report.lines").total(summary),
    "interrupted, 1 change made, 0 as asked, stopped in the middle: h1")
end)

test("walking over the variables gives them rendered", function()
  local _, summary = stub.run([[
local kb = require "kb"
kb.play { "p", hosts = "all", function(host)
  for name, value in pairs(host.vars) do
    if name == "b" then host:fail("b is " .. value) end
  end
end }
]], { vars = { a = "x", b = "{{ a }}y" } })
  check.contains(summary.failures[1].text, "b is xy")
end)

test("a play that is to be complete stops when all its hosts have finished", function()
  local events, summary = stub.run([[
local kb = require "kb"
local files = kb.use "files"
kb.play { "look", hosts = "all", max_fail = 0, complete = true, function(host)
  if host.name ~= "h3" then
    host:read("sleep 0.1")
    host:fail("not good")
  end
end }
kb.play { "act", hosts = "all", function(host) files.directory(host, { "/nowhere" }) end }
]], { hosts = { "h1", "h2", "h3" } })
  check.equal(summary.counts.failed, 2)
  check.equal(summary.cancelled, {})
  check.equal(stub.steps(events), {})
end)

test("a host that has failed can be asked by others when its play is to be complete", function()
  local asks = [[
local kb = require "kb"
local failed = kb.value "that h1 fails"
kb.play { "look", hosts = "all", complete = %s, function(host)
  if host.name == "h1" then
    failed:set(true)
    host:fail("not good")
  end
  failed:get()
  host:read("sleep 0.1")
  kb.on(host, "h1", function(h1) assert(h1:read("echo here").out == "here\n") end)
end }
]]
  local _, summary = stub.run(asks:format("true"), { hosts = { "h1", "h2" } })
  check.equal(summary.counts.failed, 1)
  _, summary = stub.run(asks:format("false"), { hosts = { "h1", "h2" } })
  check.equal(summary.counts.failed, 2)
end)
