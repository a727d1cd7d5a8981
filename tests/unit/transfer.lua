local test = ...
local check = require "lib.check"
local crypto = require "kb.core.crypto"
local program = require "lib.program"
local remote = require "kb.remote"
local scratch = require "lib.scratch"
local secret = require "kb.secret"
local shells = require "lib.shells"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

-- The path of what is kept of a file of this content, or this identity, on its way.
local function part_of(dir, name, digest)
  return ("%s/.kbrun.%s.%s.part"):format(dir, crypto.digest("sha256", name):sub(1, 8),
    digest:sub(1, 32))
end

-- Each test has a connection and a directory of its own.
local function with(name, fn, shell)
  test(name, function()
    local dir = check.ok(sys.mkdtemp "/tmp/kbrun-transfer.")
    local _ <close> = setmetatable({}, { __close = function()
      program.run { "rm", "-rf", dir }
    end })
    local r <close> = check.ok(remote.open { transport = "local", name = "here" })
    r.connection = shells.connect(shell or "dash")
    fn(r, dir)
    for _, left in ipairs(sys.list(dir)) do
      check.equal(left:find "^%.kbrun", nil, "left behind: " .. left)
    end
  end)
end

local function each(name, fn)
  for _, shell in ipairs(shells.names()) do
    with(name .. " (" .. shell .. ")", fn, shell)
  end
end

local all_bytes = {}
for i = 0, 255 do
  all_bytes[#all_bytes + 1] = string.char(i)
end
all_bytes = table.concat(all_bytes)

each("a small file is put in one round trip, and not again", function(r, dir)
  local path = dir .. "/it's a file"
  check.ok(r:run "true")
  local before = r:stats().trips
  local _, info = check.ok(r:put { path = path, content = all_bytes, mode = 416 })
  check.equal(info, { changed = true, sent = 256 })
  check.equal(r:stats().trips - before, 1)
  check.equal(sys.read_file(path), all_bytes)
  check.equal(sys.stat(path).mode, 416)
  _, info = check.ok(r:put { path = path, content = all_bytes, mode = 384 })
  check.equal(info, { changed = false, sent = 0 })
  check.equal(sys.stat(path).mode, 384)
  check.ok(r:put { path = path, content = secret.new "hidden" })
  check.equal(sys.read_file(path), "hidden")
  check.equal(sys.stat(path).mode, 384, "the mode stays when none is given")
  check.ok(r:put { path = path, content = "" })
  check.equal(sys.read_file(path), "")
  check.ok(r:put { path = dir .. "/new", content = "x" })
  check.equal(sys.stat(dir .. "/new").mode, 420)
end)

each("a large file is streamed, compressed when that pays, and not sent again", function(r, dir)
  for name, text in pairs { random = crypto.random(300000):rep(3), dull = ("dull "):rep(200000) } do
    check.ok(sys.write_file(dir .. "/" .. name, text))
    local last, total
    local spec = { path = dir .. "/" .. name .. ".there", file = dir .. "/" .. name,
      progress = function(done, all)
        last, total = done, all
      end }
    local before = r:stats().sent
    local _, info = check.ok(r:put(spec))
    check.equal(info.changed, true)
    check.equal(sys.read_file(spec.path) == text, true)
    check.equal({ last, total }, { #text, #text })
    check.equal(r:stats().sent - before < 100000, name == "dull", name .. " compressed")
    _, info = check.ok(r:put(spec))
    check.equal(info, { changed = false, sent = 0 })
  end
end)

with("what was sent before a break is not sent again", function(r, dir)
  local text = crypto.random(1 << 20)
  local path, digest = dir .. "/big", crypto.digest("sha256", text)
  local part = part_of(dir, "big", digest)
  check.ok(sys.write_file(part, text:sub(1, 1000000)))
  local _, info = check.ok(r:put { path = path, content = text })
  check.equal(info.sent, #text - 1000000)
  check.equal(sys.read_file(path) == text, true)
  check.ok(sys.write_file(part_of(dir, "big2", digest), ("x"):rep(1000000)))
  check.ok(r:put { path = path .. "2", content = text })
  check.equal(sys.read_file(path .. "2") == text, true)
end)

with("a transfer that breaks leaves the old file and a part to go on from", function(r, dir)
  local path, text = dir .. "/big", crypto.random(1 << 20)
  check.ok(sys.write_file(path, "old"))
  check.ok(sys.write_file(dir .. "/source", text))
  local seen = 0
  local ok, message = r:put { path = path, file = dir .. "/source", progress = function(done)
    seen = seen + 1
    if done > 700000 then
      error("broken", 0)
    end
  end }
  check.equal(ok, nil)
  check.contains(message, "broken")
  check.equal(sys.read_file(path), "old")
  local _, info = check.ok(r:put { path = path, file = dir .. "/source" })
  check.equal(info.sent <= #text, true)
  check.equal(sys.read_file(path) == text, true)
end)

with("another's file in the place of a part is not written to", function(r, dir)
  local text = crypto.random(100000)
  local part = part_of(dir, "big", crypto.digest("sha256", text))
  check.ok(sys.write_file(dir .. "/victim", "precious"))
  check.ok(sys.symlink(dir .. "/victim", part))
  check.ok(r:put { path = dir .. "/big", content = text })
  check.equal(sys.read_file(dir .. "/victim"), "precious")
  check.equal(sys.read_file(dir .. "/big") == text, true)
  check.equal(sys.stat(dir .. "/big", false).kind, "file")
end)

with("what is left of another content is removed, both ways", function(r, dir)
  local text, old = crypto.random(100000), crypto.digest("sha256", "old")
  check.ok(sys.mkdir(dir .. "/sub"))
  check.ok(sys.write_file(part_of(dir, "big", old), "useless"))
  check.ok(sys.write_file(part_of(dir, "other", old), "another's"))
  check.ok(r:put { path = dir .. "/big", content = text })
  check.equal({ sys.stat(part_of(dir, "big", old)), sys.read_file(part_of(dir, "other", old)) },
    { nil, "another's" })
  check.ok(sys.write_file(part_of(dir .. "/sub", "here", old), "useless"))
  check.ok(r:get { path = dir .. "/big", to = dir .. "/sub/here" })
  check.equal(sys.list(dir .. "/sub"), { "here" })
  check.ok(sys.remove(part_of(dir, "other", old)))
end)

with("one file goes to two places in a directory at the same time", function(r, dir)
  local text, puts = crypto.random(1 << 20), {}
  check.ok(sys.write_file(dir .. "/source", text))
  for i = 1, 3 do
    puts[i] = task.spawn(r.put, r, { path = dir .. "/" .. i, file = dir .. "/source" })
  end
  for i = 1, 3 do
    check.ok(puts[i]:join())
    check.equal(sys.read_file(dir .. "/" .. i) == text, true)
  end
end)

with("what cannot be replaced is refused, with a reason", function(r, dir)
  local _, message, code = r:put { path = dir, content = "x" }
  check.equal({ message, code }, { ("here: %s: %s is a directory"):format(dir, dir), "EISDIR" })
  _, message, code = r:put { path = dir .. "/no/where", content = "x" }
  check.equal(code, "ENOENT")
  check.contains(message, "there is no directory")
  _, _, code = r:put { path = "/dev/null", content = "x" }
  check.equal(code, "EISDIR")
  _, _, code = r:put { path = dir .. "/x", file = dir .. "/none" }
  check.equal(code, "ENOENT")
  _, _, code = r:put { path = dir .. "/big", content = ("x"):rep(70000), owner = "nobody-there" }
  check.equal(code, "EIO")
  check.ok(r:run("rm -f " .. dir .. "/.kbrun.*"))
end)

with("a link is replaced, and its target kept", function(r, dir)
  check.ok(sys.write_file(dir .. "/target", "kept"))
  check.ok(sys.symlink("target", dir .. "/link"))
  check.ok(r:put { path = dir .. "/link", content = "new" })
  check.equal({ sys.read_file(dir .. "/link"), sys.read_file(dir .. "/target") }, { "new", "kept" })
end)

each("the new content is checked before it counts", function(r, dir)
  local path = dir .. "/conf"
  check.ok(r:put { path = path, content = "good", validate = "grep -q good %s" })
  local _, message, code = r:put { path = path, content = "bad",
    validate = "cat %s; grep -q good %s" }
  check.equal(code, "EINVAL")
  check.contains(message, "bad")
  check.contains(message, "the check of the new content failed")
  check.equal(sys.read_file(path), "good")
end)

with("a backup keeps what was there", function(r, dir)
  local path = dir .. "/conf"
  check.ok(r:put { path = path, content = "one", backup = ".old" })
  local _, info = check.ok(r:put { path = path, content = "two", backup = ".old" })
  check.equal(info.backup, path .. ".old")
  check.equal({ sys.read_file(path), sys.read_file(path .. ".old") }, { "two", "one" })
end)

with("pieces from a function are a file, also when they fail half-way", function(r, dir)
  local n = 0
  local function read()
    n = n + 1
    return n <= 3 and "piece " .. n .. "\n" or nil
  end
  check.ok(r:put { path = dir .. "/f", read = read })
  check.equal(sys.read_file(dir .. "/f"), "piece 1\npiece 2\npiece 3\n")
  local _, message = r:put { path = dir .. "/f", read = function()
    return nil, "the pipe broke", "EPIPE"
  end }
  check.contains(message, "the pipe broke")
end)

each("a file is got whole, and not again", function(r, dir)
  local text = all_bytes:rep(5000)
  check.ok(sys.write_file(dir .. "/there", text))
  local last
  local spec = { path = dir .. "/there", to = dir .. "/here", progress = function(done)
    last = done
  end }
  local _, info = check.ok(r:get(spec))
  check.equal(info, { changed = true, received = #text })
  check.equal(sys.read_file(dir .. "/here") == text, true)
  check.equal({ sys.stat(dir .. "/here").mode, last }, { 384, #text })
  _, info = check.ok(r:get(spec))
  check.equal(info, { changed = false, received = 0 })
  local parts = {}
  check.ok(r:get { path = dir .. "/there", write = function(piece)
    parts[#parts + 1] = piece
  end })
  check.equal(table.concat(parts) == text, true)
  local _, message, code = r:get { path = dir .. "/none", to = dir .. "/here" }
  check.equal(code, "ENOENT")
  check.contains(message, "there is no file")
  check.equal(sys.read_file(dir .. "/here") == text, true)
end)

each("a large file is got as a stream, compressed when that pays", function(r, dir)
  for name, text in pairs { random = crypto.random(300000):rep(3), dull = ("dull "):rep(200000) } do
    local last, total
    check.ok(sys.write_file(dir .. "/" .. name, text))
    local spec = { path = dir .. "/" .. name, to = dir .. "/" .. name .. ".here",
      progress = function(done, all)
        last, total = done, all
      end }
    local before = r:stats().received
    local _, info = check.ok(r:get(spec))
    check.equal(info, { changed = true, received = #text })
    check.equal(sys.read_file(spec.to) == text, true)
    check.equal({ last, total, sys.stat(spec.to).mode }, { #text, #text, 384 })
    check.equal(r:stats().received - before < 100000, name == "dull", name .. " compressed")
    before = r:stats().received
    spec.to, spec.compress = spec.to .. "2", false
    check.ok(r:get(spec))
    check.equal(r:stats().received - before > #text, true)
    check.equal(sys.read_file(spec.to) == text, true)
  end
end)

with("a large file is got again only when its content differs", function(r, dir)
  local text = crypto.random(300000)
  local spec = { path = dir .. "/there", to = dir .. "/here" }
  check.ok(sys.write_file(spec.path, text))
  check.ok(r:get(spec))
  local _, info = check.ok(r:get(spec))
  check.equal(info, { changed = false, received = 0 })
  check.ok(sys.write_file(spec.path, "x" .. text:sub(2)))
  _, info = check.ok(r:get(spec))
  check.equal(info, { changed = true, received = #text })
  check.equal(sys.read_file(spec.to) == "x" .. text:sub(2), true)
end)

test("others go on while a file is put in its place, or is not", function()
  local dir <close> = scratch()
  local from, to, turns = dir.path .. "/from", dir.path .. "/to", 0
  check.ok(sys.write_file(from, ("x"):rep(5000000)))
  check.ok(sys.write_file(to, "before"))
  local other = task.background(function()
    while true do
      turns = turns + 1
      task.yield()
    end
  end)
  check.ok(sys.place(from, to, 416))
  other:cancel()
  check.equal(turns > 0, true)
  check.equal({ sys.stat(from), sys.stat(to).size, sys.stat(to).mode }, { nil, 5000000, 416 })
  local _, message, code = sys.place(from, to, 416)
  check.equal({ message, code }, { from .. ": No such file or directory", "ENOENT" })
  check.ok(sys.mkdir(dir.path .. "/dir"))
  _, message, code = sys.place(to, dir.path .. "/dir", 416)
  check.equal({ message, code }, { dir.path .. "/dir: Is a directory", "EISDIR" })
end)

with("what came before a break does not come again", function(r, dir)
  local text = crypto.random(1 << 20)
  check.ok(sys.write_file(dir .. "/there", text))
  local spec = { path = dir .. "/there", to = dir .. "/here", progress = function(done)
    if done > 700000 then
      error("broken", 0)
    end
  end }
  check.ok(sys.write_file(spec.to, "old"))
  check.raises("broken", r.get, r, spec)
  check.equal(sys.read_file(spec.to), "old")
  local part
  for _, name in ipairs(sys.list(dir)) do
    part = name:find "^%.kbrun%.%x+%.%x+%.part$" and name or part
  end
  local size = sys.stat(dir .. "/" .. part).size
  check.equal({ size > 600000, sys.stat(dir .. "/" .. part).mode }, { true, 384 })
  spec.progress = nil
  local before = r:stats().received
  local _, info = check.ok(r:get(spec))
  check.equal(info, { changed = true, received = #text - size })
  check.equal(r:stats().received - before < #text - size + 1000, true)
  check.equal(sys.read_file(spec.to) == text, true)
  check.ok(sys.write_file(dir .. "/" .. part, ("x"):rep(500000))) -- not what it says it is
  check.ok(sys.remove(spec.to))
  _, info = check.ok(r:get(spec))
  check.equal(info.received, #text)
  check.equal(sys.read_file(spec.to) == text, true)
end)

with("two that get one file at once do not write into one part", function(r, dir)
  local text, second = crypto.random(1 << 20), nil
  check.ok(sys.write_file(dir .. "/there", text))
  local other <close> = check.ok(remote.open { transport = "local", name = "here" })
  other.connection = shells.connect "dash"
  local spec = { path = dir .. "/there", to = dir .. "/here" }
  local _, info = check.ok(r:get { path = spec.path, to = spec.to, progress = function(done)
    if done > 300000 and not second then
      second = table.pack(other:get(spec))
    end
  end })
  check.equal(info, { changed = true, received = #text })
  check.equal(sys.read_file(spec.to) == text, true)
  check.equal({ second[1], second[3] }, { nil, "EBUSY" })
  check.contains(second[2], spec.to .. ": another transfer to it is under way")
  _, info = check.ok(other:get(spec))
  check.equal(info, { changed = false, received = 0 })
end)

with("a link in the place of a part is not written through", function(r, dir)
  local text = crypto.random(100000)
  check.ok(sys.write_file(dir .. "/there", text))
  check.ok(sys.write_file(dir .. "/victim", "precious"))
  local stat = r:run(("stat -c %%d.%%i.%%Y %s/there"):format(dir)).out:gsub("\n", "")
  local identity = crypto.digest("sha256", ("here\0%s/there\0%d\0%s"):format(dir, #text, stat))
  check.ok(sys.symlink(dir .. "/victim", part_of(dir, "here", identity)))
  check.ok(r:get { path = dir .. "/there", to = dir .. "/here" })
  check.equal(sys.read_file(dir .. "/victim"), "precious")
  check.equal({ sys.stat(dir .. "/here", false).kind, sys.read_file(dir .. "/here") == text },
    { "file", true })
end)

-- A disk that takes nothing stands for one that is full.
local function with_full_disk(fn)
  local tmpfile = io.tmpfile
  local _ <close> = setmetatable({}, { __close = function()
    io.tmpfile = tmpfile -- luacheck: ignore 122
  end })
  io.tmpfile = function() -- luacheck: ignore 122
    return io.open("/dev/full", "w+b")
  end
  return fn()
end

with("what a function gives is not sent when it could not be kept", function(r, dir)
  for _, size in ipairs { 10, 100000 } do
    local left = size
    local ok, message, code = with_full_disk(function()
      return r:put { path = dir .. "/new", read = function()
        local piece = left > 0 and ("x"):rep(math.min(left, 1000)) or nil
        left = left - 1000
        return piece
      end }
    end)
    check.equal({ ok, code, (sys.stat(dir .. "/new")) }, { nil, "EIO" })
    check.contains(message, "No space left on device")
    check.contains(message, dir .. "/new")
  end
end)

with("a local directory that is full or not there is said so", function(r, dir)
  check.ok(sys.write_file(dir .. "/there", crypto.random(100000)))
  local ok, message, code = r:get { path = dir .. "/there", to = dir .. "/no/where" }
  check.equal({ ok, code }, { nil, "ENOENT" })
  check.contains(message, dir .. "/no/")
end)

with("each kind of transfer ends by its timeout, and the connection lives on", function(r, dir)
  check.ok(sys.write_file(dir .. "/file", crypto.random(100000)))
  check.ok(sys.mkdir(dir .. "/tree"))
  check.ok(sys.write_file(dir .. "/tree/a", "a"))
  local function times_out(fn)
    local started = task.now()
    local ok, message, code = fn()
    check.equal({ ok, code }, { nil, "ETIMEDOUT" }, message)
    check.contains(message, "here: " .. dir)
    check.contains(message, "the transfer timed out after 0.5 s")
    check.equal(task.now() - started < 4, true)
    check.equal(check.ok(r:run "echo on").out, "on\n")
  end
  for _, name in ipairs { "sync", "sha256sum", "openssl" } do -- slow ones, found before the real
    check.ok(sys.write_file(dir .. "/tree/" .. name, "#!/bin/sh\nexec sleep 100\n", 493))
  end
  local run = r.run
  function r.run(self, command, opts) -- luacheck: ignore 122
    return run(self, ("PATH=%s/tree:$PATH\n"):format(dir) .. command, opts)
  end
  times_out(function()
    return r:put { path = dir .. "/small", content = "x", timeout = 0.5 }
  end)
  times_out(function()
    return r:put { path = dir .. "/large", file = dir .. "/file", timeout = 0.5 }
  end)
  times_out(function()
    return r:put_tree { path = dir .. "/other", dir = dir .. "/tree", timeout = 0.5 }
  end)
  times_out(function()
    return r:get { path = dir .. "/file", to = dir .. "/got", timeout = 0.5 }
  end)
  r.run = nil
  check.ok(r:run("rm -rf " .. dir .. "/.kbrun.*"))
end)
