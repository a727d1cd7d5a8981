local test = ...
local bundle = require "modules.bundle"
local check = require "lib.check"
local stub = require "lib.stub"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

-- An apt that, as the real one, does not wait for another that uses the same lists, and that leaves
-- a daemon behind.
local APT = [[
#!/bin/sh
mkdir "$PWD/busy" || exit 100
sleep 0.2
rmdir "$PWD/busy"
[ ! -e /proc/self/fd/9 ] || exit 99
]]

-- A dpkg that is held up once by another, as after a kill of what had started that one.
local DPKG = [[
#!/bin/sh
dir=${0%/*}
if mkdir "$dir/asked" 2>/dev/null; then
  echo "dpkg: error: dpkg database lock was locked by another process with pid 1" >&2
  exit 2
fi
echo >"$dir/configured"
]]

-- Runs `body` with the installation's script, in front of these two.
local function with_script(body)
  local dir = check.ok(sys.mkdtemp("/tmp/kbrun-test-"))
  check.ok(sys.write_file(dir .. "/apt-get", APT, tonumber("755", 8)))
  check.ok(sys.write_file(dir .. "/dpkg", DPKG, tonumber("755", 8)))
  local change = bundle.installed:decide(bundle.installed:check { "a", path = dir,
    bundle = sys.self().cwd .. "/tests/lib/bundle" }, function()
    return false
  end)
  local done, message = pcall(body, ("PATH=%s:$PATH; %s"):format(dir, change.actions[1]), dir)
  stub.shell("rm -rf " .. dir)
  check.equal(done, true, message)
end

test("two plays may install packages on a host at once", function()
  with_script(function(script)
    local first, second = task.spawn(stub.shell, script), task.spawn(stub.shell, script)
    for _, result in ipairs { first:join(), second:join() } do
      check.equal(result.code, 0, result.err)
    end
  end)
end)

test("what was left half done is finished when the dpkg of a killed run has let go", function()
  with_script(function(script, dir)
    local result = stub.shell(script)
    check.equal(result.code, 0, result.err)
    check.ok(sys.read_file(dir .. "/configured"))
  end)
end)
