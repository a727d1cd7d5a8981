-- What apt.packages runs, with a dpkg and an apt-get in front of the real ones.
local test = ...
local apt = require "modules.apt"
local check = require "lib.check"
local scratch = require "lib.scratch"
local stub = require "lib.stub"
local sys = require "kb.core.sys"

local SAYS = [[
#!/bin/sh
dir=${0%/*}
echo "${0##*/} $*" >>"$dir/log"
]]

-- Held up once by another dpkg, as after a kill of what had started that one.
local HELD_UP = [[
if mkdir "$dir/asked" 2>/dev/null; then
  echo "dpkg: error: dpkg frontend lock was locked by another process with pid 1" >&2
  exit 2
fi
]]

local BROKEN = "echo 'a: the script returned 1' >&2; exit 1\n"

-- The result of installing a package that is half configured, and what was called.
local function install(dpkg)
  local dir <close> = scratch()
  check.ok(sys.write_file(dir.path .. "/dpkg", SAYS .. dpkg, tonumber("755", 8)))
  check.ok(sys.write_file(dir.path .. "/apt-get", SAYS, tonumber("755", 8)))
  local change = apt.packages:decide(apt.packages:check { "a0" }, function(name)
    return name == "dpkg.package" and { installed = false, version = "", held = false,
      status = "iF" } or { a0 = "1" }
  end)
  local result = stub.shell(("PATH=%s:$PATH; %s"):format(dir.path, change.actions[1].run))
  local called = {}
  for word in sys.read_file(dir.path .. "/log"):gmatch("(%S+)[^\n]*\n") do
    called[#called + 1] = word
  end
  return result, called
end

test("what is half configured is finished once the dpkg of a killed run has let go", function()
  local result, called = install(HELD_UP)
  check.equal({ result.code, called }, { 0, { "dpkg", "dpkg", "apt-get" } }, result.err)
end)

test("what cannot be configured is said, and nothing is installed over it", function()
  local result, called = install(BROKEN)
  check.equal({ result.code, called }, { 1, { "dpkg" } })
  check.contains(result.err, "a: the script returned 1")
end)
