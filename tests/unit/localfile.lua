local test = ...
local check = require "lib.check"
local crypto = require "kb.core.crypto"
local localfile = require "kb.localfile"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

test("others go on while a large file is hashed, which is done once for all", function()
  local dir <close> = scratch()
  local path, text = dir.path .. "/large", ("0123456789abcdef"):rep(1 << 19)
  check.ok(sys.write_file(path, text))
  local turns, over, begun, tasks = 0, false, 0, {}
  local other = task.spawn(function()
    while not over do
      turns = turns + 1
      task.yield()
    end
  end)
  local hash = crypto.hash
  crypto.hash = function(...)
    begun = begun + 1
    return hash(...)
  end
  for i = 1, 3 do
    tasks[i] = task.spawn(localfile.digest, path)
  end
  for _, t in ipairs(tasks) do
    check.equal({ t:join() }, { crypto.digest("sha256", text), #text })
  end
  crypto.hash = hash
  over = true
  other:join()
  check.ok(turns > 8, turns .. " turns for eight megabytes")
  check.equal(begun, 1)
end)

test("a file that goes away while it is hashed leaves nobody waiting", function()
  local ok, e = pcall(localfile.digest, "/no/such/file")
  check.equal(ok, false)
  check.contains(e.message, "/no/such/file")
  local dir <close> = scratch()
  for _ = 1, 2 do
    ok = pcall(localfile.digest, dir.path)
    check.equal(ok, false, "a directory has no digest")
  end
end)
