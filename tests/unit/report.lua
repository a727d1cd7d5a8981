local test = ...
local check = require "lib.check"
local err = require "kb.err"
local json = require "kb.json"
local json_view = require "kb.report.json"
local lines = require "kb.report.lines"
local report = require "kb.report"
local secret = require "kb.secret"
local unknown = require "kb.unknown"

-- A report whose lines are collected.
local function collecting(verbose)
  local out = {}
  local view = lines.new { verbose = verbose, write = function(text)
    out[#out + 1] = text
  end }
  return report.new { view }, out
end

local function step(status, fields)
  local event = { event = "step", status = status, host = "h1", op = "t.acts", title = "act",
    seconds = 0 }
  for k, v in pairs(fields or {}) do
    event[k] = v
  end
  return event
end

local summary = { counts = { failed = 1, unreachable = 0, ended = 0 }, cancelled = {}, seconds = 1 }

test("a play is skipped before any host was told of; a warning stops nothing", function()
  local rep, out = collecting()
  rep:emit { event = "play", play = "p", status = "skipped", reason = "it has no hosts" }
  rep:emit { event = "warning", play = "p", host = "h1", message = "mind the gap" }
  check.contains(table.concat(out), "p: it has no hosts")
  check.contains(table.concat(out), "warning    h1  mind the gap")
end)

test("plays that are skipped because others were share a line", function()
  local rep, out = collecting(0)
  local function skip(name, needed)
    rep:emit { event = "play", play = name, status = "skipped", needed = needed,
      reason = ("needs %q, which did not get done"):format(needed) }
  end
  skip("b", "a")
  skip("c", "b")
  skip("d", "c")
  rep:emit { event = "warning", play = "p", host = "h1", message = "mind the gap" }
  skip("e", "a")
  skip("f", "d")
  rep:finish(summary)
  local text = table.concat(out)
  check.contains(text, 'skipped       b: needs "a", which did not get done\n'
    .. "skipped       and what needs these: c, d\nwarning")
  check.contains(text, 'skipped        e: needs "a", which did not get done\n'
    .. "skipped        and what needs these: f\n")
end)

test("a failure's title is shortened, also before its message", function()
  local rep, out = collecting(0)
  local title = ("word "):rep(40)
  rep:emit(step("failed", { title = title, error = err.new("failed", "no door") }))
  rep:emit(step("failed", { title = title, error = err.new("failed", title:sub(1, 59)
    .. "… failed") }))
  check.contains(table.concat(out), "h1  " .. title:sub(1, 59) .. "…: no door\n")
  check.contains(table.concat(out), "h1  " .. title:sub(1, 59) .. "… failed\n")
end)

test("what was held back of a command's output, and its last line, are shown when it is over",
  function()
    secret.new("canary-in-a-mine")
    local rep, out = collecting(2)
    rep:output("h1", "out", "first\nthe canary")
    check.ok(not table.concat(out):find("the canary", 1, true))
    rep:emit(step "changed")
    rep:output("h1", "out", "-in-a-mine\n")
    local text = table.concat(out)
    check.contains(text, "h1 | the canary\n")
    check.contains(text, "h1 | -in-a-mine\n")
  end)

test("a line that does not end is shown in pieces, not kept", function()
  local rep, out = collecting(2)
  local piece = ("x"):rep(10000)
  for _ = 1, 50 do
    rep:output("h1", "out", piece)
  end
  local shown = select(2, table.concat(out):gsub("x", ""))
  check.ok(shown > 400000, shown)
  rep:output("h1", "out", "end\nlast\n")
  local text = table.concat(out)
  check.equal({ select(2, text:gsub("x", "")), text:sub(-17) }, { 500000, "xxxend\nh1 | last\n" })
end)

test("a title that is not known yet is shown, not looked into", function()
  local rep, out = collecting(0)
  rep:emit(step("changed", { title = "use " .. unknown.new "known later" }))
  check.contains(table.concat(out), "use (known later)")
end)

test("a preview that ends in the playbook itself says why and where", function()
  local rep, out = collecting(0)
  rep:emit { event = "host", status = "ended", host = "h1", play = "p",
    error = { kind = "unknown", message = "it looks at 'out'", file = "x.lua", line = 3 } }
  check.contains(table.concat(out), "ends here: it looks at 'out'  x.lua:3")
end)

test("a secret is not shown however deep it is", function()
  local shown
  local rep = report.new { { event = function(_, event)
    shown = event
  end } }
  local deep = setmetatable({ "a deep-canary here" }, { __tostring = function(t)
    return t[1]
  end })
  secret.new("deep-canary")
  rep:emit(step("changed", { a = { b = { c = { d = { e = deep } } } } }))
  check.equal(shown.a.b.c.d.e, "a *** here")
end)

test("a bug in a playbook shows its traceback with -v", function()
  local function shown(verbose)
    local rep, out = collecting(verbose)
    rep:emit { event = "host", host = "h1", play = "p", status = "failed",
      error = err.new("bug", "p.lua:1: nil", { traceback = "stack traceback:\n\tp.lua:1" }) }
    rep:finish(summary)
    return table.concat(out)
  end
  check.contains(shown(1), "stack traceback")
  check.contains(shown(0), "-v shows")
  check.ok(not shown(0):find("stack traceback", 1, true))
end)

test("a failure says once what failed", function()
  local rep, out = collecting(0)
  rep:emit(step("failed", { error = err.new("failed", "act failed") }))
  rep:emit(step("failed", { error = err.new("failed", "no door") }))
  check.contains(table.concat(out), "h1  act failed\n")
  check.contains(table.concat(out), "h1  act: no door\n")
end)

test("the last line counts in words that fit", function()
  local function total(ended)
    return lines.total { steps = { changed = 1, same = 0 }, dry_run = true, seconds = 2,
      cancelled = {}, counts = { failed = 0, unreachable = 2, ended = ended } }
  end
  check.equal(total(1),
    "1 change to make, 0 as asked, 2 hosts unreachable, 1 preview ended early, in 2.0 s")
  check.contains(total(3), "3 previews ended early")
end)

test("JSON is whole whatever a command printed, and has a list when nothing failed", function()
  local out = {}
  local rep = report.new { json_view.new(function(text)
    out[#out + 1] = text
  end) }
  rep:emit(step("failed", { error = err.new("failed", "no", { output = "caf\xe9" }) }))
  rep:finish { counts = summary.counts, cancelled = {}, seconds = 1 }
  check.equal(check.ok(json.decode(out[1])).error.output, "caf\u{FFFD}")
  check.contains(out[2], '"failures": []')
end)

test("the same failure on two hosts is shown once, with the evidence of the first", function()
  local rep, out = collecting(0)
  for _, host in ipairs { "h1", "h2" } do
    rep:emit { event = "host", host = host, play = "p", status = "failed",
      error = err.new("failed", "no door", { host = host, evidence = "seen on " .. host }) }
  end
  rep:emit { event = "host", host = "h3", play = "p", status = "failed",
    error = err.new("failed", "no house", { host = "h3", evidence = "seen on h3" }) }
  rep:finish(summary)
  local text = table.concat(out)
  check.contains(text, "FAILED h1 h2\n")
  check.contains(text, "evidence: of h1:\n    seen on h1\n")
  check.contains(text, "evidence: seen on h3\n")
  check.equal(text:find("seen on h2", 1, true), nil)
end)

test("failures that differ in the host that they name are one", function()
  local rep, out = collecting(0)
  for i, host in ipairs { "w-1", "w-2" } do
    rep:emit { event = "host", host = host, play = "p", status = "failed", address = "10.0.0." .. i,
      error = err.new("failed", ("%s does not answer at 10.0.0.%d:22"):format(host, i),
        { host = host, evidence = "seen on " .. host }) }
  end
  rep:emit { event = "host", host = "w-10", play = "p", status = "failed", address = "10.0.0.10",
    error = err.new("failed", "w-1 does not answer", { host = "w-10" }) }
  rep:finish(summary)
  local text = table.concat(out)
  check.contains(text, "FAILED w-1 w-2\n<host> does not answer at <address>:22\n")
  check.contains(text, "evidence: of w-1:\n    seen on w-1\n")
  check.contains(text, "FAILED w-10\nw-1 does not answer\n")
end)

test("a dry run says what may be needed, and what it took for granted", function()
  local rep, out = collecting(0)
  rep:emit(step("unknown", { reason = "whether it is needed is known after: copy" }))
  rep:emit(step("changed", { unstated = true }))
  rep:finish { counts = { failed = 0, unreachable = 0, ended = 0 }, cancelled = {}, seconds = 1,
    dry_run = true }
  local text = table.concat(out)
  check.contains(text, "may run    h1  act\n")
  check.contains(text, "1 command does not say what it changes; what comes after is foretold as if "
    .. "it changed nothing else\n1 change to make, 1 that may be needed, 0 as asked, in 1.0 s")
end)

test("a command that is a script is shown by its beginning, and in full with -v", function()
  local function shown(whole)
    local out = {}
    local rep = report.new({ lines.new { verbose = 0, write = function(text)
      out[#out + 1] = text
    end } }, whole)
    rep:emit { event = "host", host = "h1", play = "p", status = "failed",
      error = err.new("failed", "no", { command = "set -e\none\ntwo\nthree", output = "why" }) }
    rep:finish(summary)
    return table.concat(out)
  end
  check.contains(shown(false), "command: set -e\n    … 3 lines more, shown with -v\n  output: why")
  check.contains(shown(true), "command: set -e\n    one\n    two\n    three\n")
end)

test("a play that is skipped before any host was told of has a line", function()
  local rep, out = collecting(0)
  rep:emit { event = "play", play = "p", status = "skipped", reason = "it has no hosts" }
  check.contains(table.concat(out), "p: it has no hosts\n")
end)

test("a preview that ends in the playbook says how to do without what it looked at", function()
  local rep, out = collecting(0)
  local ok, e = pcall(function()
    return unknown.guard({ out = unknown.new "known after: make it" }).out
  end)
  check.equal(ok, false)
  rep:emit { event = "host", host = "h1", play = "p", status = "ended", error = e }
  local text = table.concat(out)
  check.contains(text, "the playbook looks at 'out', which is known after: make it")
  check.contains(text, "hint: kb.after(result, function(r) return r.out end) passes it on")
end)

test("a group without evidence speaks of none", function()
  local rep, out = collecting(0)
  for _, host in ipairs { "h1", "h2" } do
    rep:emit { event = "host", host = host, play = "p", status = "failed",
      error = err.new("failed", "no door", { host = host, evidence = "" }) }
  end
  rep:finish(summary)
  check.equal(table.concat(out):find("evidence", 1, true), nil)
end)

test("lists are lists in JSON also when nothing is in them", function()
  local out = {}
  local rep = report.new { json_view.new(function(text)
    out[#out + 1] = text
  end) }
  rep:emit { event = "play", play = "p", status = "started", needs = {} }
  rep:finish { counts = { failed = 0, unreachable = 0, ended = 0 }, cancelled = {}, seconds = 1 }
  check.contains(out[1], '"needs": []')
  for _, name in ipairs { "failures", "cancelled", "path" } do
    check.contains(out[2], ('"%s": []'):format(name))
  end
end)
