local test = ...
local check = require "lib.check"
local parser = require "kb.check.parser"
local sys = require "kb.core.sys"

test("every Lua file of the project is read to its end", function()
  local function each(dir)
    for _, name in ipairs(check.ok(sys.list(dir))) do
      local path = dir .. "/" .. name
      if sys.stat(path).kind == "directory" then
        each(path)
      elseif name:find("%.lua$") then
        check.ok(parser.parse(check.ok(sys.read_file(path))), path .. " is not read")
      end
    end
  end
  for _, dir in ipairs { "lua", "modules", "playbooks", "tests" } do
    if sys.stat(dir) then
      each(dir)
    end
  end
end)

test("calls, methods, indexes and tables come out as they were written", function()
  local tree = parser.parse [==[
local a, b <const> = kb.use("x", 'y\n'), [[
long]]
a.b.c(host, { "p", key = 1, ["k 2"] = true, f() })
host:fact "n" (2)
]==]
  check.equal(tree[1].names, { "a", "b" })
  check.equal(tree[1].values[1].args[2].value, "y\n")
  check.equal(tree[1].values[2].value, "long")
  local call = tree[2].value
  check.equal(call.callee.key.value, "c")
  check.equal(call.callee.object.object.name, "a")
  local items = call.args[2].items
  check.equal(items[1].value.value, "p")
  check.equal(items[2].key.value, "key")
  check.equal(items[3].key.value, "k 2")
  check.equal(tree[3].value.callee.name, "fact")
end)

test("offsets become lines", function()
  local line = parser.lines("a\nb\n\nc")
  check.equal({ line(1), line(2), line(3), line(5), line(6) }, { 1, 1, 2, 3, 4 })
end)
