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
