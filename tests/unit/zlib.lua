local test = ...
local check = require "lib.check"
local zlib = require "kb.core.zlib"
local program = require "lib.program"

-- Numbers, then bytes that hardly compress, then what compresses to nearly nothing.
local numbers = {}
for i = 1, 20000 do
  numbers[i] = ("%d %d\n"):format(i, i * 7919 % 104729)
end
local text = table.concat(numbers) .. ("\0"):rep(1 << 20)

local function compress(data)
  local result = program.run({ "gzip", "-qc" }, { input = data })
  check.equal(result.status, 0, result.err)
  return result.out
end

-- Decompress, fed and read by so many bytes at a time.
local function decompress(data, feed, read)
  local d, parts = check.ok(zlib.decompressor()), {}
  for at = 1, #data, feed do
    d:give(data:sub(at, at + feed - 1))
    while true do
      local part, message = d:take(read)
      if not part then
        return nil, message
      elseif part == "" then
        break
      end
      parts[#parts + 1] = part
    end
  end
  return table.concat(parts), d:finish() == true
end

test("what gzip compressed comes back, whatever the pieces", function()
  local data = compress(text)
  for _, case in ipairs({ { 1 << 20, 1 << 20 }, { 1000, 4096 }, { 4096, 1000 } }) do
    local got, done = decompress(data, case[1], case[2])
    check.equal(got == text, true)
    check.equal(done, true)
  end
  local got, done = decompress(compress("short"), 1, 1)
  check.equal({ got, done }, { "short", true })
end)

test("one after the other is one", function()
  local data = compress("one, ") .. compress("") .. compress("two")
  check.equal({ decompress(data, 3, 2) }, { "one, two", true })
end)

test("what is cut is not done", function()
  local data = compress(text)
  for _, cut in ipairs({ 1, 5, 100, #data // 2 }) do
    local got, done = decompress(data:sub(1, -1 - cut), 5000, 5000)
    check.equal(done, false)
    check.equal(text:sub(1, #got) == got, true)
  end
end)

test("what is no gzip is refused", function()
  local got, message = decompress(("rubbish"):rep(10), 70, 100)
  check.equal(got, nil)
  check.contains(message, "gzip: ")
  local data = compress(text)
  local wrong = data:sub(1, 2000) .. ("x"):rep(500) .. data:sub(2501)
  got, message = decompress(wrong, 1 << 20, 1 << 20)
  check.equal(got, nil)
  check.contains(message, "gzip: ")
end)

test("misuse raises", function()
  local d = zlib.decompressor()
  d:give(compress(text))
  check.raises("is not taken yet", d.give, d, "more")
  check.raises("out of range", d.take, d, 0)
  check.raises("string expected", d.give, zlib.decompressor(), nil)
end)

test("what is compressed here, gzip and we decompress; the same gives the same", function()
  local function compressed(level, piece)
    local c, parts = zlib.compressor(level), {}
    for at = 1, #text, piece do
      parts[#parts + 1] = c:feed(text:sub(at, at + piece - 1))
    end
    parts[#parts + 1] = c:finish()
    check.raises("closed", c.feed, c, "more")
    return table.concat(parts)
  end
  local data = compressed(6, 70000)
  check.equal(compressed(6, 1000) == data, true)
  check.equal(#compressed(9, 70000) <= #data, true)
  local result = program.run({ "gzip", "-dc" }, { input = data })
  check.equal({ result.status, result.out == text }, { 0, true })
  local got, done = decompress(data, 5000, 5000)
  check.equal({ got == text, done }, { true, true })
  check.raises("must be 1 to 9", zlib.compressor, 10)
end)
