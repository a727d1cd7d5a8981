local test = ...
local check = require "lib.check"
local json = require "kb.json"
local data = require "kb.data"

test("maps keep their order, empty lists and maps stay what they are", function()
  local text = '{"z": 1, "a": [1.5, 2, null, {}, []], "m": {}, "u": "\\u0000\u{e9}"}'
  check.equal(json.encode(json.decode(text)), text)
end)

test("integers and floats stay apart", function()
  local value = json.decode "[1, 1.0, 1e2, -9223372036854775808]"
  check.equal({ math.type(value[1]), math.type(value[2]), math.type(value[3]), value[4] },
    { "integer", "float", "float", math.mininteger })
  check.equal(json.encode { 1, 1.0, 0.1 }, "[1, 1.0, 0.1]")
  check.equal(json.decode(json.encode { 0.1 + 0.2 })[1], 0.1 + 0.2)
end)

test("indent, sorted keys, compact, ASCII", function()
  local value = data.map { { "b", { 1 } }, { "a", {} }, { 3, true } }
  check.equal(json.encode(value, { indent = 2 }),
    '{\n  "b": [\n    1\n  ],\n  "a": {},\n  "3": true\n}')
  check.equal(json.encode(value, { sort = true, compact = true }), '{"3":true,"a":{},"b":[1]}')
  check.equal(json.encode("\u{e9}\\u00E9", { ascii = true }), [["\u00e9\\u00E9"]])
end)

test("what JSON cannot say is refused, or said by the caller's function", function()
  check.raises("function", json.encode, { 1, { a = print } })
  check.raises("infinity", json.encode, { 1 / 0 })
  check.raises("not UTF-8", json.encode, { a = "\xff" })
  check.raises("a key that is neither", json.encode, data.map { { 1.5, 1 } })
  local loop = {}
  loop[1] = loop
  check.raises("hold itself", json.encode, loop)
  local function stars() return "***" end
  check.equal(json.encode({ a = print }, { other = stars }), '{"a": "***"}')
  check.equal(json.encode("a\xffb\xf0\x90", { lossy = true }), '"a\u{fffd}b\u{fffd}\u{fffd}"')
end)

test("errors name the text, the line and the column", function()
  local function refused(text, words)
    local value, message, code = json.decode(text, { name = "f.json" })
    check.equal({ value, code }, { nil, "EINVAL" })
    check.contains(message, words)
  end
  refused('{"a": 1,\n "a": 2}', "f.json:2:4: duplicate object key")
  refused("[1, 2", "f.json:1:5: ']' expected")
  refused("1 2", "f.json:1:3: end of file expected")
  refused("", "f.json:1:0:")
  refused("[123456789012345678901234]", "too big integer")
  refused(("["):rep(1200) .. ("]"):rep(1200), "f.json: nested too deep")
  refused(("["):rep(100000), "maximum parsing depth")
  local _, message = json.decode("[1, 2]", { max_bytes = 3 })
  check.contains(message, "larger than 3 bytes")
end)
