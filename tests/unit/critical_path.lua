-- The critical path is found in the events of a run.
local test = ...
local check = require "lib.check"
local json_view = require "kb.report.json"
local lines = require "kb.report.lines"
local path = require "kb.report.path"
local report = require "kb.report"
local json = require "kb.json"
local stub = require "lib.stub"

-- Tell a path what happened: lists of a moment and an event.
local function told(events)
  local moment
  local p = path.new(function()
    return moment
  end)
  for _, entry in ipairs(events) do
    moment = entry[1]
    p:event(entry[2])
  end
  return p:find()
end

local function begins(at, play, ...)
  return { at, { event = "play", play = play, status = "started", needs = { ... } } }
end

local function ends(at, play)
  return { at, { event = "play", play = play, status = "done" } }
end

local function step(at, play, host, title, seconds)
  return { at, { event = "step", status = "changed", play = play, host = host, title = title,
    seconds = seconds } }
end

local function host(at, play, name)
  return { at, { event = "host", play = play, host = name, status = "done" } }
end

local function words(found)
  local list = {}
  for i, entry in ipairs(found) do
    list[i] = ("%s/%s %g%s"):format(entry.play, entry.host, entry.seconds,
      entry.step and (" (%s %g)"):format(entry.step, entry.step_seconds) or "")
  end
  return table.concat(list, ", ")
end

test("of two plays that are needed, the one that ended last counts", function()
  check.equal(words(told { begins(0, "look"), host(1, "look", "a"), ends(1, "look"),
    begins(1, "images", "look"), begins(1, "etcd", "look"), step(4, "images", "b", "load", 3),
    host(4, "images", "b"), ends(4, "images"), step(9, "etcd", "a", "form", 7.5),
    host(9, "etcd", "a"), ends(9, "etcd"), begins(9, "masters", "etcd", "images"),
    step(20, "masters", "a", "init", 10), step(21, "masters", "a", "wait", 1),
    host(21, "masters", "a"), ends(21, "masters") }),
    "look/a 1, etcd/a 8 (form 7.5), masters/a 12 (init 10)")
end)

test("hosts of a play side by side: the last; one after another: all of them", function()
  check.equal(words(told { begins(0, "p"), step(3, "p", "a", "x", 3), host(3, "p", "a"),
    step(5, "p", "b", "y", 5), host(5, "p", "b"), ends(5, "p") }), "p/b 5 (y 5)")
  check.equal(words(told { begins(0, "p"), step(3, "p", "a", "x", 3), host(3, "p", "a"),
    step(5, "p", "b", "y", 2), host(5, "p", "b"), ends(5, "p") }), "p/a 3 (x 3), p/b 2 (y 2)")
end)

test("a play that nothing waited for is not on the path, unless it ended last", function()
  local events = { begins(0, "one"), host(2, "one", "a"), ends(2, "one"), begins(0, "aside"),
    host(1, "aside", "b"), ends(1, "aside"), begins(2, "two", "one"), host(3, "two", "a"),
    ends(3, "two") }
  check.equal(words(told(events)), "one/a 2, two/a 1")
  events[#events + 1] = begins(0, "long")
  events[#events + 1] = host(9, "long", "c")
  events[#events + 1] = ends(9, "long")
  check.equal(words(told(events)), "long/c 9")
end)

test("a run without plays has no path", function()
  check.equal(told {}, {})
end)

test("a real run: the path is in the summary, and its times add up", function()
  local _, summary = stub.run([[
local kb = require "kb"
kb.play { "short", hosts = "h1", needs = {}, function(host) host:read("sleep 0.1") end }
kb.play { "long", hosts = "h2", needs = {}, function(host) host:read("sleep 0.4") end }
kb.play { "last", hosts = "h1", needs = { "short", "long" },
  function(host) host:read("sleep 0.2") end }
]], { hosts = { "h1", "h2" } })
  local names, seconds = {}, 0
  for i, entry in ipairs(summary.path) do
    names[i] = entry.play .. "/" .. entry.host
    seconds = seconds + entry.seconds
  end
  check.equal(table.concat(names, " "), "long/h2 last/h1")
  check.ok(math.abs(seconds - summary.seconds) < 0.1, seconds .. " of " .. summary.seconds)
end)

test("people and programs are shown it", function()
  local text, objects = "", ""
  local rep = report.new { lines.new { write = function(t)
    text = text .. t
  end }, json_view.new(function(t)
    objects = objects .. t
  end) }
  rep.path = told { begins(0, "look"), host(10, "look", "a"), ends(10, "look"),
    begins(10, "etcd", "look"), step(19, "etcd", "m0", "start etcd", 7.5), host(19, "etcd", "m0"),
    ends(19, "etcd"), begins(19, "runtime", "etcd"),
    step(29, "runtime", "m0", "install " .. ("package "):rep(20), 9), host(29, "runtime", "m0"),
    ends(29, "runtime") }
  rep.path.find = function(self)
    return self
  end
  rep:finish { counts = { failed = 0, unreachable = 0, ended = 0 }, cancelled = {}, seconds = 29 }
  check.contains(text, "critical path, 29.0 s\n")
  check.contains(text, "   10.0 s  look     a\n")
  check.contains(text, "    9.0 s  etcd     m0  start etcd (7.5 s)\n")
  check.contains(text, "package pac… (9.0 s)\n")
  check.equal(json.decode(objects:match("[^\n]*\n$")).path[2].step, "start etcd")
end)
