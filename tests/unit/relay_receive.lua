-- The script that receives blobs on a node, by itself.
local test = ...
local check = require "lib.check"
local crypto = require "kb.core.crypto"
local program = require "lib.program"
local scratch = require "lib.scratch"
local script = require "kb.relay.script"
local sys = require "kb.core.sys"
local zstd = require "kb.core.zstd"

local MB = 1 << 20

local function receive(dir, input)
  local text = script.receive { id = "unit" .. sys.self().pid, d = dir.path .. "/blobs",
    u = sys.self().user, from = "operator", key = "" }
  check.ok(sys.write_file(dir.path .. "/input", input)) -- it need not be read to its end
  return program.run { "/bin/sh", "-c", "trap '' XFSZ; ulimit -f 2048; eval \"$1\" <\"$2\"", "sh",
    text, dir.path .. "/input" }
end

-- A limit to the size of files stands for a disk that is full: 2048 blocks are 1 MiB.
test("a disk that does not take it is told in its own words, packed or not", function()
  local dir <close> = scratch()
  local content = ("x"):rep(3 * MB)
  local hash = crypto.digest("sha256", content)
  local head = ("%s %d\n.\n"):format(hash, #content)
  local compressor <close> = zstd.compressor(1)
  local small = compressor:feed(content) .. compressor:finish()
  for _, frame in ipairs { ("data %s %d\n"):format(hash, #content) .. content,
    ("packed %s %d %d\n"):format(hash, #small, #content) .. small } do
    local result = receive(dir, head .. frame)
    check.contains(result.out, ("want %s %d"):format(hash, #content))
    local failure = check.ok(result.out:match("fail ([^\n]*)"), result.out .. result.err)
    check.contains(failure, dir.path .. "/blobs: ")
    check.contains(failure, "File too large")
    program.run { "rm", "-rf", dir.path .. "/blobs" }
  end
end)

-- Programs that stand before the real ones: the only user is this one, in a directory of the test.
test("keys that cannot be removed are no success, and the file is named", function()
  local dir <close> = scratch()
  local me, keys = sys.self().user, dir.path .. "/.ssh/authorized_keys"
  check.ok(sys.mkdir(dir.path .. "/.ssh"))
  check.ok(sys.mkdir(dir.path .. "/bin"))
  check.ok(sys.write_file(dir.path .. "/bin/getent", ("#!/bin/sh\necho '%s:x:0:0::%s:/bin/sh'\n")
    :format(me, dir.path), 493))
  check.ok(sys.write_file(dir.path .. "/bin/mv", "#!/bin/sh\nexit 1\n", 493))
  check.ok(sys.write_file(keys, "of others\ndead kbrun-relay:dead\n"))
  local function tidy()
    return program.run({ "/bin/sh", "-c", script.tidy() }, { env = { HOME = dir.path,
      PATH = dir.path .. "/bin:" .. sys.getenv "PATH" } })
  end
  local result = tidy()
  check.equal(result.status, 1)
  check.contains(result.err, dir.path .. "/.ssh/authorized_keys cannot be changed")
  check.equal(sys.list(dir.path .. "/.ssh"), { "authorized_keys" })
  check.ok(sys.remove(dir.path .. "/bin/mv"))
  check.equal(tidy().status, 0)
  check.equal(sys.read_file(keys), "of others\n")
end)
