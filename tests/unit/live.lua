-- What the terminal shows while hosts work.
local test = ...
local check = require "lib.check"
local err = require "kb.err"
local live = require "kb.report.live"
local meter = require "kb.report.meter"
local report = require "kb.report"
local term = require "kb.term"

-- A live view on a terminal of this size, and a function that draws and gives what it wrote.
local function terminal(columns, rows)
  local written = {}
  local view = live.new { verbose = 0, size = function()
    return columns, rows
  end, write = function(text)
    written[#written + 1] = text
  end }
  return report.new { view }, function()
    written = {}
    view:_draw()
    return table.concat(written)
  end
end

local function start(rep, names)
  rep:emit { event = "play", play = "work", status = "started", hosts = #names }
  for _, name in ipairs(names) do
    rep:emit { event = "start", play = "work", host = name }
  end
end

local function step(host, status, title)
  return { event = "step", status = status, host = host, play = "work", op = "t.acts",
    title = title, seconds = 0 }
end

local function rows_of(text)
  local rows = {}
  for row in text:gsub("\27%[[%d]*[A-Z]", ""):gsub("\r", ""):gmatch "([^\n]*)\n" do
    rows[#rows + 1] = row
  end
  return rows
end

test("each host of a play keeps its line, and the last one says how far it is", function()
  local rep, draw = terminal(60, 24)
  start(rep, { "m0", "worker" })
  rep:emit(step("worker", "running", "build"))
  rep:output("worker", "out", "part 1\npart 2\n")
  local rows = rows_of(draw())
  check.equal(#rows, 4)
  check.equal(rows[1], "work  2 hosts")
  check.contains(rows[2], " m0")
  check.contains(rows[3], " worker    0.0 s  build  part 2")
  check.contains(rows[4], "work: 0 of 2 hosts done   0 changed   0 s")
  rep:emit(step("worker", "changed", "build"))
  local text = draw()
  check.equal(text:sub(1, 5), "\27[3A\r", "the block of three lines is written over")
  rows = rows_of(text)
  check.contains(rows[1], "changed    worker  build")
  check.contains(rows[3], " worker")
  check.ok(not rows[3]:find("build", 1, true))
  rep:emit { event = "host", play = "work", host = "worker", status = "failed",
    error = err.new("failed", "no") }
  rows = rows_of(draw())
  check.contains(rows[#rows], "work: 1 of 2 hosts done   1 changed, 1 failed")
end)

test("no line is longer than the terminal, and no block higher", function()
  local rep, draw = terminal(30, 8)
  local names = {}
  for i = 1, 9 do
    names[i] = "host" .. i
  end
  start(rep, names)
  for _, name in ipairs(names) do
    rep:emit(step(name, "running", ("ä"):rep(40)))
  end
  draw()
  local rows = rows_of(draw())
  check.equal(#rows, 6)
  for _, row in ipairs(rows) do
    check.ok(utf8.len(row) < 30, row)
  end
  check.contains(rows[5], "… and 5 more hosts")
end)

test("a step that fills the line has nothing beside it", function()
  local rep, draw = terminal(30, 24)
  start(rep, { "m0" })
  rep:emit(step("m0", "running", ("long "):rep(20)))
  rep:output("m0", "out", "said\n")
  local text = draw()
  check.contains(text, "…")
  check.equal(text:find("……", 1, true), nil)
end)

test("a terminal that does not say how large it is has a usual size", function()
  local rep, draw = terminal(0, 0)
  start(rep, { "m0", "w0" })
  rep:emit(step("w0", "running", ("x"):rep(50)))
  check.contains(rows_of(draw())[3], ("x"):rep(50))
end)

test("a transfer shows its bar, rate and rest", function()
  local rep, draw = terminal(100, 24)
  start(rep, { "m0" })
  rep:emit(step("m0", "running", "copy"))
  rep:progress("m0", 250, 1000)
  check.contains(rows_of(draw())[2], "copy  ▕███         ▏ 25% of 1.0 kB")
  local now = 100
  local m = meter.new(1e6, function()
    return now
  end)
  now = 104
  m:update(9e6, 30e6)
  check.contains(m:text(), " 30% of 30 MB  2.0 MB/s  11 s left")
  m:update(30e6, 30e6)
  check.contains(m:text(), "▕████████████▏100% of 30 MB")
  m:update(1e6, 30e9)
  check.equal(m:text():find("left", 1, true), nil, "without a rate nobody knows")
end)

test("bytes are written for people", function()
  local said = {}
  for i, n in ipairs { 0, 999, 1000, 9940, 9960, 999499, 999600, 1.5e9, 2e15 } do
    said[i] = term.bytes(n)
  end
  check.equal(said, { "0 B", "999 B", "1.0 kB", "9.9 kB", "10 kB", "999 kB", "1.0 MB", "1.5 GB",
    "2000 TB" })
end)
