-- What a dry run takes for known, and what it owns not to know.
local test = ...
local check = require "lib.check"
local stub = require "lib.stub"
local sys = require "kb.core.sys"

local with_dir = stub.with_dir

-- Preview a playbook whose hosts have /in with "x" in it, and whose play is `body`.
local function preview(body, options)
  local steps, events, summary
  with_dir(function(dir)
    sys.write_file(dir .. "/in", "x\n")
    options = options or {}
    options.apply, options.vars = false, { dir = dir }
    events, summary = stub.run(([[
local kb = require "kb"
local files, command = kb.use("files", "command")
local token = kb.value "the token"
kb.play { "p", hosts = "all", function(host)
  local dir = host.vars.dir
%s
end }
]]):format(body), options)
    steps = stub.steps(events)
    for i, text in ipairs(steps) do
      steps[i] = text:gsub(dir:gsub("%p", "%%%0"), "DIR")
    end
  end)
  return steps, summary, events
end

test("a dry run knows what a test says until something is foretold that may alter it", function()
  local steps, summary, events = preview [[
  local test = "grep -q x " .. dir .. "/in"
  command.run(host, { "one", unless = test })
  files.file(host, { dir .. "/other", content = "y" })
  command.run(host, { "two", unless = test })
  command.run(host, { "three", unless = test, title = "the same test: known after `two`" })
  command.run(host, { "four", unless = "grep -q x " .. dir .. "/in ", reads = { dir .. "/in" } })
  files.line(host, { dir .. "/in", line = "z" })
  command.run(host, { "five", only_if = "grep -q z " .. dir .. "/in", reads = { dir .. "/in" } })
  ]]
  check.equal(steps, { "same this succeeds: grep -q x DIR/in", "changed create DIR/other",
    "unknown run: two", "same this succeeds: grep -q x DIR/in",
    "same this succeeds: grep -q x DIR/in ", "changed change DIR/in", "unknown run: five" })
  check.equal({ summary.steps.unknown, summary.steps.perhaps, summary.counts.ended }, { 2, 2, 0 })
  for _, e in ipairs(events) do
    if e.status == "unknown" and e.title == "run: two" then
      check.contains(e.reason, "whether it is needed is known after: create ")
    end
  end
end)

test("a command that does not say what it changes may have altered any test", function()
  local steps, summary = preview [[
  local test = "grep -q x " .. dir .. "/in"
  command.run(host, { "true", effect = {} })
  command.run(host, { "one", unless = test, reads = { dir .. "/in" } })
  command.run(host, { "sed -i s/x/y/ " .. dir .. "/in", title = "edit" })
  command.run(host, { "two", unless = test, reads = { dir .. "/in" } })
  ]]
  check.equal(steps, { "changed run: true", "same this succeeds: grep -q x DIR/in",
    "changed edit", "unknown run: two" })
  check.equal(summary.steps.unstated, 1)
end)

test("what a command that may run would change is not known", function()
  for _, ask in ipairs { 'host:fact("file.stat", dir .. "/made")', "local _ = r.changed" } do
    local steps, summary = preview([[
  files.file(host, { dir .. "/other", content = "y" })
  local r = command.run(host, { "make", only_if = "date", effect = {
    { "file.stat", dir .. "/made", { kind = "file" } } } })
  ]] .. ask)
    check.equal(steps, { "changed create DIR/other", "unknown run: make" })
    check.equal(summary.counts.ended, 1, ask)
  end
end)

test("a test of one host is not known after what it waited for on another one", function()
  local _, _, events = preview([[
  if host.name == "h1" then
    files.file(host, { dir .. "/other", content = "y" })
    token:set(1)
  else
    command.run(host, { "before", unless = "grep -q x " .. dir .. "/in" })
    token:get()
    command.run(host, { "after", unless = "grep  -q x " .. dir .. "/in" })
    command.run(host, { "here", unless = "test -e " .. dir .. "/in", reads = { dir .. "/in" } })
  end
  ]], { hosts = { "h2", "h1" } })
  local status = {}
  for _, e in ipairs(events) do
    status[#status + 1] = e.event == "step" and e.host == "h2" and e.status or nil
  end
  check.equal(status, { "same", "unknown", "same" })
end)

test("what is read once something was foretold is not known", function()
  local steps, summary = preview [[
  assert(host:read("cat " .. dir .. "/in").out == "x\n")
  files.file(host, { dir .. "/other", content = "y" })
  assert(host:read("cat " .. dir .. "/in", { reads = { dir .. "/in" } }).out == "x\n")
  local out = kb.after(host:read("cat " .. dir .. "/in"), function(r) return r.out end)
  files.file(host, { dir .. "/more", content = out })
  local _ = host:read("cat " .. dir .. "/in").code == 0
  files.file(host, { dir .. "/never", content = "y" })
  ]]
  check.equal(steps, { "changed create DIR/other", "changed create DIR/more" })
  check.equal(summary.counts.ended, 1)
end)

test("a playbook's pcall does not catch what a dry run cannot know", function()
  for _, catch in ipairs { "pcall(f)", "xpcall(f, print)" } do
    local steps, summary = preview(([[
  local r = command.run(host, { "date" })
  local f = function() return r.out == "x" end
  local ok = %s
  files.file(host, { dir .. "/" .. tostring(ok), content = "y" })
  ]]):format(catch))
    check.equal(steps, { "changed run: date" })
    check.equal(summary.counts, { failed = 0, unreachable = 0, ended = 1 })
  end
  local steps = preview [[
  local ok, e = pcall(error, "mended")
  files.file(host, { dir .. "/" .. tostring(ok), content = e })
  ]]
  check.equal(steps, { "changed create DIR/false" })
end)

test("what is not there may be there after a command that says only in part what it makes",
  function()
    local steps, summary = preview [[
  command.run(host, { "mkdir -p " .. dir .. "/made", creates = dir .. "/made/key" })
  files.file(host, { dir .. "/made/more", content = "x" })
  files.absent(host, { dir .. "/in" })
  assert(host:fact("file.content", dir .. "/in") == false)
  files.file(host, { dir .. "/last", content = host:fact("file.content", dir .. "/made/key.pub") })
  ]]
    check.equal(steps[#steps], "changed remove file DIR/in")
    check.equal({ #steps, summary.counts.ended }, { 3, 1 })
    steps, summary = preview [[
  command.run(host, { "true", effect = {} })
  assert(host:fact("file.content", dir .. "/key.pub") == false)
  files.file(host, { dir .. "/none/more", content = "x" })
  ]]
    check.equal({ #steps, summary.counts.failed }, { 2, 1 })
  end)

test("below what is going to be filled a step may be needed, and what it makes is known", function()
  local steps, summary = preview [[
  local fills = kb.op { name = "t.fills", args = {}, plan = function()
    return { title = "fill", effect = { require("modules.files.effect").filled(dir) } }
  end }
  fills(host, {})
  files.directory(host, { dir .. "/a", mode = "0750" })
  files.file(host, { dir .. "/a/b", content = "one\n" })
  files.line(host, { dir .. "/a/b", line = "two" })
  files.link(host, { dir .. "/l", to = "a" })
  files.absent(host, { dir .. "/in" })
  assert(host:fact("file.stat", dir .. "/a").mode == 488)
  assert(host:fact("file.stat", dir .. "/l").target == "a")
  assert(host:fact("file.stat", dir .. "/in").kind == "absent")
  assert(host:fact("file.content", dir .. "/a/b") == "one\ntwo\n")
  ]]
  check.equal(steps, { "changed fill", "unknown create directory DIR/a", "unknown write DIR/a/b",
    "unknown change DIR/a/b", "unknown link DIR/l -> a", "unknown remove DIR/in" })
  check.equal(summary.counts, { failed = 0, unreachable = 0, ended = 0 },
    summary.failures[1] and summary.failures[1].text)
end)

test("a list of which one item is not known ends the preview, and a wrong one is named", function()
  local _, summary = preview [[
  local authorized_keys = kb.use("authorized_keys")
  authorized_keys.keys(host, { "root", keys = { "a", false } })
  ]]
  check.contains(summary.failures[1].text, "'keys' must be a string or a list of strings, but its "
    .. "item 2 is false")
  local steps
  steps, summary = preview [[
  local authorized_keys = kb.use("authorized_keys")
  authorized_keys.keys(host, { "root", keys = { kb.unknown "known later" } })
  ]]
  check.contains(steps[1], "needs item 1 of its keys, which is known later")
  check.equal(summary.counts.ended, 1)
end)

test("packages may bring what a command makes, another command may not", function()
  local steps = preview [[
  local install = kb.op { name = "t.install", args = {}, plan = function()
    return { title = "install", effect = {}, more = true }
  end }
  command.run(host, { "one", creates = dir .. "/one" })
  command.run(host, { "two", creates = dir .. "/two" })
  install(host, {})
  command.run(host, { "three", creates = dir .. "/three" })
  command.run(host, { "four", unless = "grep -q y " .. dir .. "/in", reads = { dir .. "/in" } })
  files.absent(host, { dir .. "/two" })
  command.run(host, { "five", creates = dir .. "/two", title = "two again" })
  ]]
  check.equal(steps, { "changed run: one", "changed run: two", "changed install",
    "unknown run: three", "changed run: four", "unknown remove DIR/two", "changed two again" })
end)

test("hosts that wait for a free place come after none of those before them", function()
  local steps = preview([[
  command.run(host, { "one", unless = "test -e " .. dir .. "/in" })
  command.run(host, { "true", title = "whatever" })
  ]], { hosts = { "h1", "h2" }, forks = 1 })
  check.equal(steps, { "same this succeeds: test -e DIR/in", "changed whatever",
    "same this succeeds: test -e DIR/in", "changed whatever" })
end)
