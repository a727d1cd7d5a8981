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

test("two plays may install packages on a host at once", function()
  local dir = check.ok(sys.mkdtemp("/tmp/kbrun-test-"))
  check.ok(sys.write_file(dir .. "/apt-get", APT, tonumber("755", 8)))
  local change = bundle.installed:decide(bundle.installed:check { "a", path = dir,
    bundle = sys.self().cwd .. "/tests/lib/bundle" }, function()
    return false
  end)
  local text = ("PATH=%s:$PATH; %s"):format(dir, change.actions[1])
  local first, second = task.spawn(stub.shell, text), task.spawn(stub.shell, text)
  local results = { first:join(), second:join() }
  stub.shell("rm -rf " .. dir)
  for _, result in ipairs(results) do
    check.equal(result.code, 0, result.err)
  end
end)
