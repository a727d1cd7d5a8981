local test = ...
local check = require "lib.check"
local program = require "lib.program"
local zstd = require "kb.core.zstd"

local text = ("all work and no play "):rep(20000)

local function compress(data, size)
  local c, out = zstd.compressor(1), {}
  for at = 1, #data, size do
    out[#out + 1] = c:feed(data:sub(at, at + size - 1))
  end
  out[#out + 1] = c:finish()
  return table.concat(out)
end

test("what is compressed in pieces is decompressed in other pieces", function()
  local packed = compress(text, 1000)
  check.equal(#packed < #text / 10, true)
  local d, out = zstd.decompressor(), {}
  for at = 1, #packed, 7 do
    out[#out + 1] = check.ok(d:feed(packed:sub(at, at + 6)))
  end
  check.ok(d:finish())
  check.equal(table.concat(out) == text, true)
  check.equal(zstd.decompressor():feed(compress("", 1)), "")
end)

test("the zstd program reads ours, and we what it writes", function()
  check.equal(program.run({ "zstd", "-dc" }, { input = compress(text, 65536) }).out == text, true)
  local packed = program.run({ "zstd", "-c" }, { input = text }).out
  check.equal(zstd.decompressor():feed(packed) == text, true)
end)

test("what is damaged, cut or a bomb is refused", function()
  local packed = compress(text, 65536)
  local d = zstd.decompressor()
  check.ok(d:feed(packed:sub(1, -9)))
  check.equal({ d:finish() }, { nil, "zstd: the data ends too early", "EINVAL" })
  local damaged = packed:sub(1, 20) .. "\255\255" .. packed:sub(23)
  local _, message, code = zstd.decompressor():feed(damaged)
  check.equal(code, "EINVAL")
  check.contains(message, "zstd:")
  _, message = zstd.decompressor():feed(packed, 1000)
  check.equal(message, "zstd: more than 1000 bytes")
  check.raises("1 to 19", zstd.compressor, 99)
end)

test("what is closed cannot be used", function()
  local c = zstd.compressor()
  c:close()
  c:close()
  check.raises("closed", c.feed, c, "x")
  local d = zstd.decompressor()
  d:close()
  check.raises("closed", d.feed, d, "x")
end)

-- Decompress, given and taken by so many bytes at a time.
local function decompress(packed, give, take)
  local d, parts = zstd.decompressor(), {}
  for at = 1, #packed, give do
    d:give(packed:sub(at, at + give - 1))
    while true do
      local part, message = d:take(take)
      if not part then
        return nil, message
      elseif part == "" then
        break
      end
      check.equal(#part <= take, true)
      parts[#parts + 1] = part
    end
  end
  return table.concat(parts), d:finish() == true
end

test("what holds much is taken in bounded pieces", function()
  local zeros = ("\0"):rep(3 << 20)
  local packed = compress(zeros, 1 << 20) .. compress("", 1) .. compress(text, 999)
  for _, case in ipairs({ { 1 << 20, 1 << 16 }, { 10, 4096 }, { 4096, 1000 } }) do
    local got, done = decompress(packed, case[1], case[2])
    check.equal(got == zeros .. text, true)
    check.equal(done, true)
  end
  for _, cut in ipairs({ 1, 5, 100 }) do
    local got, done = decompress(packed:sub(1, -1 - cut), 100, 5000)
    check.equal(done, false)
    check.equal(got == (zeros .. text):sub(1, #got), true)
  end
  local got, message = decompress(("rubbish"):rep(10), 70, 100)
  check.equal(got, nil)
  check.contains(message, "zstd: ")
  local d = zstd.decompressor()
  d:give(packed)
  check.raises("is not taken yet", d.give, d, "more")
  check.raises("out of range", d.take, d, 0)
end)

test("a frame whose end is that of a piece is whole", function()
  for _, size in ipairs({ 128 << 10, 256 << 10 }) do
    local d = zstd.decompressor()
    check.equal(#check.ok(d:feed(compress(("\0"):rep(size), size))), size)
    check.ok(d:finish())
  end
end)
