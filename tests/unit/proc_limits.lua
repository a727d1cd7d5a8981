-- Child processes in an environment that is against us.
local test = ...
local check = require "lib.check"
local program = require "lib.program"
local sys = require "kb.core.sys"

-- Run a script by a kbrun that a shell starts by the command before "$@".
local function run(command, script)
  local dir = check.ok(sys.mkdtemp("/tmp/kbrun-test-"))
  local path = dir .. "/script.lua"
  check.ok(sys.write_file(path, script))
  local result = program.run { "sh", "-c", command .. ' "$@"', "sh", program.kbrun, "lua", path }
  sys.remove(path)
  sys.remove(dir)
  return result
end

test("a program's status is not lost where the end of children is ignored", function()
  local result = run("exec env --ignore-signal=CHLD", [[
local process = assert(require("kb.core.proc").spawn { argv = { "sh", "-c", "exit 3" } })
print(process:wait())
]])
  check.equal({ result.out, result.status }, { "3\n", 0 }, result.err)
end)

test("a program that cannot be watched for want of descriptors is ended, an error", function()
  local result = run("ulimit -n 10; exec", [[
local proc, held = require "kb.core.proc", {}
for i = 1, 20 do
  local process, message, code = proc.spawn { argv = { "sleep", "100" }, stdin = "inherit",
    stdout = "inherit", stderr = "inherit" }
  if not process then
    print(code)
    break
  end
  held[i] = process
end
for _, process in ipairs(held) do
  process:kill(9)
  process:wait()
end
]])
  check.equal({ result.out, result.status }, { "EMFILE\n", 0 }, result.err)
end)
