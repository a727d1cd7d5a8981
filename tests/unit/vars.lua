local test = ...
local check = require "lib.check"
local data = require "kb.data"
local vars = require "kb.vars"

local function view(raw)
  return vars.view(raw, function(name, problem) error(name .. ": " .. tostring(problem), 0) end)
end

test("templates are rendered when read, through each other and inside of values", function()
  local v = view { a = "{{ b }}/x", b = "{{ c }}", c = 5, list = { "{{ c }}", "y", { "{{ a }}" } },
    map = data.map { { "{{ b }}k", "{{ a }}" }, { "plain", data.null } }, plain = { 1 } }
  check.equal({ v.a, v.b, v.c, v.nothing }, { "5/x", 5, 5 })
  check.equal({ v.list[1], v.list[2], v.list[3][1] }, { 5, "y", "5/x" })
  check.equal({ v.map["5k"], v.map.plain }, { "5/x", data.null })
end)

test("what needs no rendering is the same value", function()
  local raw = { plain = { 1 }, text = "a { b" }
  local v = view(raw)
  check.ok(rawequal(v.plain, raw.plain), "the same table")
  check.equal(v.text, "a { b")
  check.raises("cannot be changed", function() v.x = 1 end)
end)

test("what a template gives is not rendered again", function()
  local v = view { a = "{% raw %}{{ b }}{% endraw %}", b = 1, c = "{{ a }}" }
  check.equal({ v.a, v.c }, { "{{ b }}", "{{ b }}" })
end)

test("circles and undefined names are errors that name the variables", function()
  local v = view { a = "{{ b }}", b = "x{{ c }}", c = { "{{ a }}" }, d = "{{ nothing }}",
    e = "{{ 1 +", ok = "{{ f }}", f = 1 }
  check.raises("a circle: a -> b -> c -> a", function() return v.a end)
  check.raises("'nothing' is undefined", function() return v.d end)
  check.raises("variable e", function() return v.e end)
  check.equal(v.ok, 1, "a failure leaves nothing behind")
end)

test("walking renders too", function()
  local seen = {}
  for key, value in pairs(view { a = "{{ b }}", b = 2 }) do seen[key] = value end
  check.equal(seen, { a = 2, b = 2 })
end)
