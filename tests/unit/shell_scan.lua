local test = ...
local check = require "lib.check"
local scan = require "kb.shell.scan"

local prefix = "\1abc:"

-- What the text gives when it comes in pieces of so many bytes.
local function feed(text, size)
  local s, data, marks = scan.new(prefix), {}, {}
  for at = 1, #text, size do
    local some, found = s:feed(text:sub(at, at + size - 1))
    data[#data + 1] = some
    table.move(found, 1, #found, #marks + 1, marks)
  end
  return table.concat(data), marks, s.held
end

test("markers are found however the text is cut, and the rest is exact", function()
  local text = "one\1ab\1\1abc:1:end\ntwo\1\1abc:2\n\1abc\n\0\255\1abc:3\n"
  for size = 1, #text do
    local data, marks, held = feed(text, size)
    check.equal(data, "one\1ab\1two\1\1abc\n\0\255")
    check.equal(marks, { "1:end", "2", "3" })
    check.equal(held, "")
  end
end)

test("what may begin a marker is held back, and nothing else", function()
  local s = scan.new(prefix)
  check.equal({ s:feed "x\1" }, { "x", {} })
  check.equal({ s:feed "y" }, { "\1y", {} })
  check.equal({ s:feed "\1abc:7" }, { "", {} })
  check.equal({ s:feed "\nz" }, { "z", { "7" } })
end)

test("data after a marker in the same piece is not lost", function()
  check.equal({ scan.new(prefix):feed "a\1abc:1\nb\1abc:2\nc" }, { "abc", { "1", "2" } })
end)
