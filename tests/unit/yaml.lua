local test = ...
local check = require "lib.check"
local yaml = require "kb.yaml"
local json = require "kb.json"
local data = require "kb.data"

local function load(text, options)
  return (check.ok(yaml.load(text, options)))
end

local function as_json(text, options) return json.encode(load(text, options)) end

local function refused(text, words, options)
  local value, message, code = yaml.load(text, options or { name = "f.yml" })
  check.equal({ value, code }, { nil, "EINVAL" })
  check.contains(message, words)
end

test("the core schema of 1.2 is the default", function()
  check.equal(as_json "[1, -2, +3, 0o17, 0x1F, 0644, 1_000, 1., .5, 1e3, 22:30, 0b1]",
    '[1, -2, 3, 15, 31, 644, "1_000", 1.0, 0.5, 1000.0, "22:30", "0b1"]')
  check.equal(as_json "[~, null, Null, NULL, true, FALSE, yes, off, nUll, tRue, 'null', \"1\"]",
    '[null, null, null, null, true, false, "yes", "off", "nUll", "tRue", "null", "1"]')
  local special = load "[.inf, -.INF, +.inf, .nan]"
  check.equal({ special[1], special[2], special[3], special[4] ~= special[4] },
    { math.huge, -math.huge, math.huge, true })
end)

test("YAML 1.1 reads as Ansible does", function()
  check.equal(as_json("[1, 0644, 0b11, 1_000, 0x1F, 22:30, -1:30:01, 08, 1e3, 1.5e+3, 1:30.5]",
    { version = "1.1" }), '[1, 420, 3, 1000, 31, 1350, -5401, "08", "1e3", 1500.0, 90.5]')
  check.equal(as_json("[yes, No, on, OFF, y, n, true, 0o17, 2020-01-02, =]", { version = "1.1" }),
    '[true, false, true, false, "y", "n", true, "0o17", "2020-01-02", "="]')
end)

test("a whole number beyond 64 bits is refused, never rounded", function()
  check.equal(as_json "9223372036854775807", "9223372036854775807")
  refused("a: 9223372036854775808", "f.yml:1:4: the whole number 9223372036854775808 does not fit")
  refused("a: 0xFFFFFFFFFFFFFFFFF", "does not fit", { version = "1.1" })
end)

test("values that the versions read differently are warned of, with their place", function()
  local warnings = {}
  local function note(w)
    warnings[#warnings + 1] = ("%s:%d:%d %s"):format(w.file, w.line, w.column, w.kind)
  end
  load("a: yes\nb: [0644, 'no']\nc: 1.10\nd: 2020-01-02\ne: plain\n",
    { name = "f.yml", warn = note })
  check.equal(warnings, { "f.yml:1:4 boolean", "f.yml:2:5 number", "f.yml:3:4 version",
    "f.yml:4:4 date" })
end)

test("the same key twice is an error with both lines", function()
  refused("a: 1\nb: 2\na: 3", "f.yml:3:1: the key a is here twice; the first is on line 1")
  refused("x:\n  1: a\n  0x1: b", "f.yml:3:3: the key 1 is here twice")
  refused("<<: {a: 1}\n<<: {b: 1}", "f.yml:2:1: the key << is here twice")
end)

test("merge keys: what is written wins over what is merged, the first over the second", function()
  local value = load("x: &x {p: 1, q: 2}\ny: &y {q: 3, r: 4}\n"
    .. "m: {q: 9, <<: [*x, *y], s: 5}\nn: {<<: *x, '<<': t}")
  check.equal(json.encode(value.m, { sort = true }), '{"p": 1, "q": 9, "r": 4, "s": 5}')
  check.equal(value.n["<<"], "t")
  refused("a: {<<: 3}", "f.yml:1:9: << takes a map")
  refused("a: {<<: [{a: 1}, 3]}", "this list has another value")
end)

test("aliases share one value; loops and bombs are refused", function()
  local value = load "a: &x {p: [1]}\nb: *x"
  check.ok(rawequal(value.a, value.b), "one table")
  refused("a: &x [*x]", "f.yml:1:8: the alias *x is inside the value it stands for")
  refused("a: *x", "f.yml:1:4: the alias *x has no anchor &x before it")
  refused("---\na: &x 1\n---\nb: *x", "no anchor")
  local bomb, before = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n", "a0"
  for i = 1, 8 do
    bomb = bomb .. ("a%d: &a%d [%s*%s]\n"):format(i, i, ("*" .. before .. ", "):rep(9), before)
    before = "a" .. i
  end
  refused(bomb, "more than 2000000 values")
end)

test("limits of depth and size", function()
  refused(("["):rep(101) .. ("]"):rep(101), "f.yml:1:101: nested deeper than 100")
  check.equal(as_json(("["):rep(100) .. ("]"):rep(100)), ("["):rep(100) .. ("]"):rep(100))
  refused("a: 123", "larger than 3 bytes", { max_bytes = 3 })
  refused(("["):rep(3000), "nested deeper", { max_depth = 50 })
end)

test("tags: the standard ones work, others are clear errors", function()
  check.equal(
    as_json "[!!str 12, !!int '3', !!float 3, !!binary aGVsbG8=, !!bool 'true', !!null '']",
    '["12", 3, 3.0, "hello", true, null]')
  check.equal(load("!!binary aGk=\n"), "hi")
  refused("a: !vault |\n  $ANSIBLE_VAULT;1.1",
    "f.yml:1:4: this value is encrypted by Ansible's vault; vault files are not supported yet")
  refused("a: !!python/object:os.system {}", "!!python/object:os.system would make a Python object")
  refused("a: !mine 1", "the tag !mine is not known")
  refused("a: !!int x", '"x" is not a value of the type !!int')
  check.equal(as_json("a: !mine x", { tags = { ["!mine"] = function(text, _, line)
    return text .. line
  end } }), '{"a": "x1"}')
end)

test("slips that people make are explained", function()
  refused("a: {{ foo }}\nb: 1", "f.yml:1:5: a key must be a text, a number or a boolean; is this")
  refused("a: {{ foo }}/bar\nb: 1", "template, {{ ... }}, that should be quoted")
  refused("a: {% foo %}\nb: 1", "a value that starts with a template, {{ ... }}, must be quoted")
  refused("a:\n\tb: 1", "f.yml:2:1: ")
  refused("a:\n\tb: 1", "indented with spaces, here is a tab")
  refused("a: b: c", "f.yml:1:5: mapping values are not allowed in this context; a text with ': '")
  refused("a: @x", "a text that starts with @")
  refused("a: 'x\nb: 1\n", "f.yml:3:1")
  refused("ok: \xff", "f.yml:1:1: invalid leading UTF-8 octet")
  refused("a: 1\nb: \1", "f.yml:2:1: control characters are not allowed")
  refused("? [a]\n: 1", "f.yml:1:3: a key must be")
end)

test("documents", function()
  check.equal(json.encode(check.ok(yaml.load_all "a: 1\n---\n- b\n--- \n...\n")),
    '[{"a": 1}, ["b"], null]')
  refused("a: 1\n---\nb: 2", "f.yml:2:1: a second document begins here")
  check.equal(load "# nothing\n", data.null)
  check.equal(as_json "\u{feff}a: 1", '{"a": 1}')
end)

test("where a value is written, also through a merge", function()
  local value = load("a:\n  b: 1\n  c: [x,\n y]\nd: &d {e: 1}\nf: {<<: *d}\n", { name = "f.yml" })
  check.equal({ yaml.position(value, "a") }, { "f.yml", 1, 1 })
  check.equal({ yaml.position(value.a) }, { "f.yml", 2, 3 })
  check.equal({ yaml.position(value.a, "c") }, { "f.yml", 3, 3 })
  check.equal({ yaml.position(value.a.c, 2) }, { "f.yml", 4, 2 })
  check.equal({ yaml.position(value.f, "e") }, { "f.yml", 5, 8 })
  check.equal({ yaml.position({}, "e") }, {})
end)

test("a number is written back as it was, while it is the same value", function()
  local value = load "version: 1.10\nm: [+3, 0x10, 1]\n"
  check.equal(yaml.original(value, "version"), "1.10")
  check.equal(yaml.dump(value), "version: 1.10\nm:\n- +3\n- 0x10\n- 1\n")
  value.version = 1.2
  check.equal(yaml.original(value, "version"), nil)
  check.contains(yaml.dump(value), "version: 1.2\n")
  local octal = load("mode: 0644\n", { version = "1.1" })
  check.equal(yaml.original(octal, "mode"), "0644")
  check.equal(yaml.dump(octal), "mode: 420\n", "what readers disagree on is not written")
end)

test("dump quotes what either version would take for something else", function()
  local texts = { "yes", "y", "N", "off", "true", "null", "~", "", "0644", "0o17", "08", "1e3",
    "1_0", "22:30", "1.5", ".inf", "2020-01-02", "=", "<<", "-", "- a", "a: b", "a #b", "#a",
    "*a", "&a", "!a", "@a", "%a", "`a", "{{ a }}", "[a", " a", "a ", "a\tb", "a\r\nb", "\0",
    "\u{e9}", "\u{1F600}", "a:", ":a", "?", "? a", "|", ">", "'", '"', "---", "...", "a\n",
    "\na", "a\n\n", " a\nb", "a \nb", "\tb", "a\u{85}b", "a\u{2028}b", "\u{feff}a",
    ("word "):rep(60) }
  local ways = { {}, { blocks = false, width = 40 }, { flow = true }, { ascii = true } }
  for _, version in ipairs { "1.1", "1.2" } do
    for _, options in ipairs(ways) do
      local back = load(yaml.dump(texts, options), { version = version })
      for i, text in ipairs(texts) do
        check.equal(back[i], text, version)
        local map = data.map { { text, text } }
        check.equal(load(yaml.dump(map, options), { version = version })[text], text)
      end
    end
  end
  check.equal(yaml.dump { "plain", "a b", "/a/b:c", "10.0.0.1", "v1.2.3" },
    "- plain\n- a b\n- /a/b:c\n- 10.0.0.1\n- v1.2.3\n")
end)

test("dump: numbers, blocks, flow, order, documents", function()
  check.equal(yaml.dump { 1, 1.0, 1e20, 0.1, -0.0, math.huge, true, data.null },
    "- 1\n- 1.0\n- 1.0e+20\n- 0.1\n- -0.0\n- .inf\n- true\n- null\n")
  check.equal(yaml.dump { a = "l1\nl2\n", b = "x\ny" }, "a: |\n  l1\n  l2\nb: |-\n  x\n  y\n")
  local nested = data.map { { "z", data.list {} }, { "a", { b = { 1, 2 } } } }
  check.equal(yaml.dump(nested, { flow = "leaves" }), "z: []\na:\n  b: [1, 2]\n")
  check.equal(yaml.dump(data.map { { "z", 1 }, { "a", 2 } }, { sort = true }), "a: 2\nz: 1\n")
  check.equal(yaml.dump_all { { a = 1 }, { 2 } }, "---\na: 1\n---\n- 2\n")
  check.raises("a function cannot be written as YAML", yaml.dump, { a = print })
  check.equal(yaml.dump({ a = print }, { other = function() return "***" end }), "a: '***'\n")
  local loop = {}
  loop[1] = loop
  check.raises("nested deeper than 512", yaml.dump, loop)
end)

-- docs/yaml.md lists these. When a new libyaml changes one, the list changes.
test("where libyaml departs from the standard", function()
  local rejected = { '{"a"\n:b}', "[ ::x ]", "-\ta", "- \ta", "? a\n:\tb", "%YAML 1.3\n---\na",
    "a: &\u{e9} 1", "..." }
  for _, text in ipairs(rejected) do
    local value = yaml.load(text)
    check.ok(value == nil, "no longer rejected: " .. text)
  end
  local accepted = { { 'key: "x"#c', '{"key": "x"}' }, { "[a, b]#c", '["a", "b"]' },
    { 'a:\n  "x\n y"', '{"a": "x y"}' }, { "a: [b,\nc]", '{"a": ["b", "c"]}' } }
  for _, pair in ipairs(accepted) do check.equal(as_json(pair[1]), pair[2], pair[1]) end
end)
