local test = ...
local check = require "lib.check"
local scan = require "kb.shell.scan"

local prefix = "\1abc:"

-- What a piece gives, in order: data as it is, markers in brackets.
local function found(s, piece)
  local parts = {}
  s:feed(piece, function(data)
    parts[#parts + 1] = data
  end, function(mark)
    parts[#parts + 1] = "[" .. mark .. "]"
  end)
  return table.concat(parts)
end

-- What the text gives when it comes in pieces of so many bytes.
local function feed(text, size)
  local s, parts = scan.new(prefix), {}
  for at = 1, #text, size do
    parts[#parts + 1] = found(s, text:sub(at, at + size - 1))
  end
  return table.concat(parts), s.held
end

test("markers are found however the text is cut, and the rest is exact", function()
  local text = "one\1ab\1\1abc:1:end\ntwo\1\1abc:2\n\1abc\n\0\255\1abc:3\n"
  for size = 1, #text do
    check.equal({ feed(text, size) },
      { "one\1ab\1[1:end]two\1[2]\1abc\n\0\255[3]", "" })
  end
end)

test("what may begin a marker is held back, and nothing else", function()
  local s = scan.new(prefix)
  check.equal(found(s, "x\1"), "x")
  check.equal(found(s, "y"), "\1y")
  check.equal(found(s, "\1abc:7"), "")
  check.equal(found(s, "\nz"), "[7]z")
end)

test("data and markers of one piece come in their order", function()
  check.equal(found(scan.new(prefix), "a\1abc:1\nb\1abc:2\nc"), "a[1]b[2]c")
end)
