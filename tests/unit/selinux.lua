-- Labels of SELinux, with stand-ins for its tools where there seems to be one: in a mount namespace
-- of its own.
local test = ...
local check = require "lib.check"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"

local PUT = [[
local dir = ...
local remote = require "kb.remote"
local r = assert(remote.open { transport = "local", name = "here" })
assert(r:put { path = dir .. "/old", content = "new text" })
assert(r:put { path = dir .. "/new", content = "text" })
assert(r:put { path = dir .. "/new", content = "text" })
r:close()
]]

local PREPARE = [[
mount -t tmpfs none /sys/fs && mkdir /sys/fs/selinux && echo 1 >/sys/fs/selinux/enforce || exit
mount --bind "$1/bin" /usr/local/sbin || exit
exec "$2" lua "$1/put.lua" "$1"
]]

test("a file that is replaced keeps its label, a new one gets that of its name", function()
  local dir <close> = scratch()
  check.ok(sys.mkdir(dir.path .. "/bin"))
  for _, tool in ipairs { "chcon", "restorecon" } do
    check.ok(sys.write_file(dir.path .. "/bin/" .. tool, ([[#!/bin/sh
echo "%s $*" >>%s/log
]]):format(tool, dir.path), tonumber("755", 8)))
  end
  check.ok(sys.write_file(dir.path .. "/put.lua", PUT))
  check.ok(sys.write_file(dir.path .. "/old", "old text"))
  local r = program.run { "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", PREPARE,
    "sh", dir.path, program.kbrun }
  check.equal(r.status, 0, r.out .. r.err)
  local log = sys.read_file(dir.path .. "/log"):gsub("%.kbrun%.%w+", "TEMP")
  check.equal(log, ("chcon --reference=%s/old %s/TEMP\nrestorecon %s/new\n"):format(dir.path,
    dir.path, dir.path))
end)
