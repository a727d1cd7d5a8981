local test = ...
local check = require "lib.check"
local program = require "lib.program"
local remote = require "kb.remote"
local sys = require "kb.core.sys"

local function write(path, text, mode)
  check.ok(sys.mkdir(path:match "^(.*)/"))
  check.ok(sys.write_file(path, text, mode or 420))
end

-- A source tree with all that is odd, and a connection.
local function with(name, fn)
  test(name, function()
    local dir = check.ok(sys.mkdtemp "/tmp/kbrun-tree.")
    local _ <close> = setmetatable({}, { __close = function()
      program.run { "rm", "-rf", dir }
    end })
    local from = dir .. "/from"
    write(from .. "/plain", "plain")
    write(from .. "/run me", "#!/bin/sh\n", 493)
    write(from .. "/.hidden", "")
    write(from .. "/sub/deep/new\nline and \\back", "odd name")
    write(from .. "/sub/-rf", "dash")
    write(from .. "/" .. ("long/"):rep(40) .. ("x"):rep(120), "long name")
    write(from .. "/sub/" .. ("y"):rep(99) .. "/" .. ("z"):rep(99), "prefix")
    write(from .. "/big", ("0123456789"):rep(60000))
    check.ok(sys.mkdir(from .. "/empty", 448))
    check.ok(sys.symlink("../plain", from .. "/sub/link"))
    check.ok(sys.symlink(("t"):rep(150), from .. "/sub/dangling"))
    local r <close> = check.ok(remote.open { transport = "local", name = "here" })
    fn(r, from, dir .. "/to", dir)
    for _, left in ipairs(sys.list(sys.stat(dir .. "/to") and dir .. "/to" or dir)) do
      check.equal(left:find "^%.kbrun", nil, "left behind: " .. left)
    end
  end)
end

local function equal_trees(a, b)
  local diff = program.run { "diff", "-r", "--no-dereference", a, b }
  check.equal({ diff.status, diff.out }, { 0, "" })
  local modes = {}
  for i, dir in ipairs { a, b } do
    modes[i] = program.run({ "sh", "-c", "find . -printf '%m %y %l %p\\n' | sort" },
      { cwd = dir }).out
  end
  check.equal(modes[2]:gsub("^[^\n]*\n", ""), modes[1]:gsub("^[^\n]*\n", ""))
end

with("a tree arrives as it is, and not again", function(r, from, to)
  local last, total
  local spec = { dir = from, path = to, progress = function(done, all)
    last, total = done, all
  end }
  local _, info = check.ok(r:put_tree(spec))
  equal_trees(from, to)
  check.equal(info.changed, true)
  check.equal({ last, total }, { info.sent, info.sent })
  _, info = check.ok(r:put_tree(spec))
  check.equal(info, { changed = false, sent = 0 })
end)

with("only what differs is sent, and what only the host has stays", function(r, from, to)
  check.ok(r:put_tree { dir = from, path = to })
  write(to .. "/sub/theirs", "stays")
  write(from .. "/plain", "changed")
  write(from .. "/more/new", "new")
  check.ok(sys.chmod(from .. "/.hidden", 384))
  local _, info = check.ok(r:put_tree { dir = from, path = to })
  check.equal(info, { changed = true, sent = 10 })
  check.equal(sys.read_file(to .. "/sub/theirs"), "stays")
  sys.remove(to .. "/sub/theirs")
  equal_trees(from, to)
end)

with("modes are given, and what only the host has is deleted, where that is asked for",
  function(r, from, to)
    local spec = { dir = from, path = to, mode = tonumber("640", 8), dir_mode = tonumber("711", 8),
      delete = true }
    check.ok(r:put_tree(spec))
    check.equal(program.run({ "sh", "-c", "find . -mindepth 1 ! -type l -printf '%y%m\n' "
      .. "| sort -u" }, { cwd = to }).out, "d711\nf640\n")
    write(to .. "/theirs/-rf/x", "goes")
    write(to .. "/sub/.kbrun.part", "is on its way")
    check.ok(sys.remove(to .. "/plain"))
    write(to .. "/plain/is/in the way", "goes")
    local _, info = check.ok(r:put_tree(spec))
    check.equal(info, { changed = true, sent = 5 })
    check.equal({ (sys.stat(to .. "/theirs")), sys.read_file(to .. "/plain") }, { nil, "plain" })
    check.equal(sys.read_file(to .. "/sub/.kbrun.part"), "is on its way")
    check.ok(sys.remove(to .. "/sub/.kbrun.part"))
    _, info = check.ok(r:put_tree(spec))
    check.equal(info, { changed = false, sent = 0 })
  end)

with("what is in the way is told", function(r, from, to, dir)
  check.ok(sys.mkdir(to .. "/plain"))
  local _, message, code = r:put_tree { dir = from, path = to }
  check.equal(code, "EIO")
  check.contains(message, "plain")
  write(dir .. "/file", "")
  _, message, code = r:put_tree { dir = from, path = dir .. "/file" }
  check.equal(code, "ENOTDIR")
  check.contains(message, "is not a directory")
  _, _, code = r:put_tree { dir = from, path = dir .. "/no/where" }
  check.equal(code, "ENOENT")
  _, _, code = r:put_tree { dir = dir .. "/none", path = to }
  check.equal(code, "ENOENT")
  check.equal(program.run({ "mkfifo", from .. "/pipe" }).status, 0)
  _, message, code = r:put_tree { dir = from, path = to }
  check.equal(code, "EINVAL")
  check.contains(message, "cannot be copied")
end)

with("a file that changes while it is sent is not put in place", function(r, from, to)
  local ok, _, code = r:put_tree { dir = from, path = to, progress = function()
    write(from .. "/sub/-rf", "DASH")
  end }
  check.equal({ ok, code }, { nil, "EBADMSG" })
  check.equal(sys.stat(to), nil)
end)

with("a link, a directory or a mode that is new arrives, too, where all files are there",
  function(r, from, to)
    check.ok(r:put_tree { dir = from, path = to })
    local function again()
      local _, info = check.ok(r:put_tree { dir = from, path = to })
      equal_trees(from, to)
      return info
    end
    check.ok(sys.mkdir(from .. "/sub/new"))
    check.equal(again(), { changed = true, sent = 0 })
    check.ok(sys.symlink("plain", from .. "/other"))
    check.equal(again(), { changed = true, sent = 0 })
    check.ok(sys.remove(from .. "/other"))
    check.ok(sys.symlink("run me", from .. "/other"))
    check.equal(again(), { changed = true, sent = 0 })
    check.ok(sys.chmod(from .. "/sub", 448))
    check.equal(again(), { changed = true, sent = 0 })
    check.equal(again(), { changed = false, sent = 0 })
  end)

with("a place that was there keeps its mode, and its directories their owners",
  function(r, from, to)
    check.ok(sys.mkdir(to .. "/sub"))
    check.ok(sys.chmod(to, tonumber("1770", 8)))
    local root = sys.self().uid == 0
    if root then
      check.equal(program.run({ "chown", "nobody", to, to .. "/sub" }).status, 0)
    end
    check.ok(r:put_tree { dir = from, path = to })
    check.equal(check.ok(sys.stat(to)).mode, tonumber("1770", 8))
    local owner = sys.stat(to).uid
    check.equal(sys.stat(to .. "/sub").uid, owner)
    check.ok(not root or owner ~= 0)
    if root then
      check.ok(r:put_tree { dir = from, path = to, owner = "root" })
      check.equal({ sys.stat(to).uid, sys.stat(to .. "/sub").uid }, { 0, 0 })
    end
  end)

with("a file that goes away, or shrinks, while it is sent is an error that names it",
  function(r, from, to)
    write(from .. "/zzz", ("x"):rep(1000000))
    for _, change in ipairs { function()
      sys.remove(from .. "/zzz")
    end, function()
      write(from .. "/zzz", "short")
    end } do
      write(from .. "/zzz", ("x"):rep(1000000))
      local ok, message, code = r:put_tree { dir = from, path = to, progress = change }
      check.equal({ ok, code }, { nil, "EIO" }, message)
      check.contains(message, from .. "/zzz")
      check.contains(message, "here")
      check.equal(sys.stat(to), nil)
      check.equal(check.ok(r:run "echo on").out, "on\n")
    end
  end)

with("a program keeps its right to be another user, also when it is given an owner",
  function(r, from, to)
    local spec = { dir = from, path = to, owner = sys.self().user }
    check.ok(sys.chmod(from .. "/run me", tonumber("4755", 8)))
    check.ok(sys.chmod(from .. "/sub", tonumber("2755", 8)))
    check.ok(r:put_tree(spec))
    check.equal(check.ok(sys.stat(to .. "/run me")).mode, tonumber("4755", 8))
    local _, info = check.ok(r:put_tree(spec))
    check.equal(info, { changed = false, sent = 0 })
  end)
