-- The bundle is whole, and a cluster can be made from it by hand.
local test = ...
local check = require "lib.check"
local format = require "kb.bundle"
local labs = require "lib.lab"
local program = require "lib.program"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local function bundle()
  local r = program.run { "tests/lab/bundle" }
  check.equal(r.status, 0, r.err)
  return r.out:gsub("\n", "")
end

test("a warm bundle takes seconds, and its manifest is true", function()
  bundle()
  local begun = task.now()
  local path = bundle()
  check.equal(task.now() - begun < 10, true, "a warm call in 10 s")
  local wanted, sums = {}, {}
  for _, blob in ipairs(format.blobs(path, check.ok(format.load(path)).items)) do
    sums[#sums + 1] = blob.sha256 .. "  " .. blob.file .. "\n"
    wanted[blob.sha256] = true
  end
  local r = program.run({ "sha256sum", "--quiet", "-c" }, { input = table.concat(sums) })
  check.equal(r.status, 0, r.out .. r.err)
  for _, name in ipairs(check.ok(sys.list(path .. "/blobs/sha256"))) do
    check.ok(wanted[name], "a blob that no item has: " .. name)
  end
end)

test("six nodes become Ready by hand, and a pod answers on each of them", function()
  bundle()
  local lab <close> = labs.open("byhand", {})
  local r = program.run { "tests/lab/cluster-by-hand", lab.name }
  check.equal(r.status, 0, r.err)
  check.equal(select(2, r.out:gsub("[mw]%d +Ready ", "")), 6, r.out)
  for _, node in ipairs { "m0", "m1", "m2", "w0", "w1", "w2" } do
    check.equal(r.err:find(node .. " answers on port", 1, true) ~= nil, true, node)
  end
end)
