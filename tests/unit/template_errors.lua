-- Errors of templates say file, line and name; templates reach nothing but what
-- they are given; what never ends is stopped.
local test = ...
local check = require "lib.check"
local data = require "kb.data"
local err = require "kb.err"
local runtime = require "kb.template.runtime"
local secret = require "kb.secret"
local template = require "kb.template"
local unknown = require "kb.unknown"

local function render(text, context, options)
  local compiled, problem = template.compile(text, options)
  if not compiled then return nil, problem end
  return compiled:render(context)
end

local function refused(text, context, options)
  local got, problem = render(text, context, options)
  check.equal(got, nil, text)
  return problem
end

test("an undefined variable is named, with file and line", function()
  local problem = refused("one\ntwo\n{{ fine }}{{ naem }}\n", { fine = 1 }, { name = "hosts.j2" })
  check.equal(problem.file, "hosts.j2")
  check.equal(problem.line, 3)
  check.equal(problem.name, "naem")
  check.equal(tostring(problem), "hosts.j2:3: 'naem' is undefined")
end)

test("an undefined attribute is named, also inside of a long tag", function()
  local problem = refused("{% set x = {\n  'a': 1,\n  'b': user.shel ~ '!',\n} %}",
    { user = { shell = "sh" } })
  check.equal(problem.line, 3)
  check.equal(problem.name, "shel")
  check.contains(problem, "'dict object' has no attribute 'shel'")
end)

test("errors in loops, macros and included files have their own place", function()
  local files = { ["inc.j2"] = "a\n{{ deep.er }}\n",
    ["lib.j2"] = "{% macro m() %}\n\n{{ gone }}\n{% endmacro %}" }
  local problem = refused("x\n{% for i in [1] %}\n{% include 'inc.j2' %}\n{% endfor %}", {},
    { name = "main.j2", loader = files })
  check.equal({ problem.file, problem.line, problem.name }, { "inc.j2", 2, "deep" })
  check.equal(problem.trace, { { file = "main.j2", line = 3 } })
  problem = refused("\n\n\n\n{% import 'lib.j2' as lib %}{{ lib.m() }}", {},
    { name = "main.j2", loader = files })
  check.equal({ problem.file, problem.line }, { "lib.j2", 3 })
end)

test("errors of syntax have their line", function()
  local rows = {
    { "a\nb\n{% if x %}\n", 3, "'if' is not closed by 'endif'" },
    { "{% for x in y %}\n{% endif %}", 2, "the 'for' of line 1 is still open" },
    { "\n{{ a b }}", 2, "unexpected 'b', expected '}}'" },
    { "\n\n{% nonsense %}", 3, "unknown tag 'nonsense'" },
    { "{{ x |\n nosuch }}", 2, "no filter named 'nosuch'" },
    { "{{ x is nosuch }}", 1, "no test named 'nosuch'" },
    { "{{ x | truncate(foo=1) }}", 1, "'truncate' has no argument 'foo'" },
    { "{{ 99999999999999999999 }}", 1, "does not fit into 64 bits" },
    { "{# open", 1, "not closed by '#}'" },
    { "{{ (1 }}", 1, "expected ')'" },
    { "#jinja2: nope: True\nx", 1, "'#jinja2:' knows" },
    { "{% autoescape true %}{% endautoescape %}", 1, "autoescape is not supported" },
  }
  for _, row in ipairs(rows) do
    local problem = refused(row[1])
    check.equal(problem.line, row[2], row[1])
    check.contains(problem.message, row[3])
  end
end)

test("a template in a file that is missing or broken says so", function()
  local got, problem = template.file("no-such.j2", { "tests/template" })
  check.equal(got, nil)
  check.contains(problem, "no-such.j2:1: template 'no-such.j2' not found in tests/template")
  problem = refused("\n{% include 'x' %}", {}, { loader = { x = "\n\n{% if %}" } })
  check.equal({ problem.file, problem.line }, { "x", 3 })
  check.contains(refused("{% include 'x' %}"), "there is no loader")
end)

test("files are found beside each other, and compiled once", function()
  local folder = check.ok(io.popen("mktemp -d")):read("l")
  local function write(name, text)
    local file = assert(io.open(folder .. "/" .. name, "w"))
    file:write(text)
    file:close()
  end
  write("main.j2", "{% include 'part.j2' %}!\n")
  write("part.j2", "part {{ n }}\n")
  local compiled = check.ok(template.file(folder .. "/main.j2"))
  check.equal(compiled:render { n = 1 }, "part 1!\n")
  write("part.j2", "changed {{ n }}\n")
  check.equal(compiled:render { n = 2 }, "changed 2!\n")
  local again = check.ok(template.file("main.j2", { folder }))
  check.equal(again.root, compiled.root)
  for _, name in ipairs { "main.j2", "part.j2" } do os.remove(folder .. "/" .. name) end
  os.remove(folder)
end)

test("values are never taken for templates", function()
  local evil = "{{ 7 * 7 }}{% for x in y %}"
  check.equal(render("{{ a }}|{{ b | join }}|{{ c }}",
    { a = evil, b = { evil }, c = { k = evil } }),
    evil .. "|" .. evil .. "|{'k': '" .. evil .. "'}")
end)

test("nothing of Lua can be reached", function()
  for _, name in ipairs { "os", "io", "_G", "require", "string", "debug", "load", "_ENV", "out",
    "V", "R" } do
    local problem = refused(("{{ %s }}"):format(name))
    check.equal(problem.name, name)
  end
  for _, text in ipairs { "{{ 'x'.rep(3) }}", "{{ 'x'.byte }}", "{{ ('a').gsub('a', 'b') }}",
    "{{ x.__index }}", "{{ [].made_here }}", "{{ namespace.call }}", "{{ range[1] }}",
    "{{ undef.call }}", "{{ {}['at'] }}", "{% macro m() %}{% endmacro %}{{ m[1] }}",
    "{% set n = namespace() %}{{ n[1] }}", "{% for i in [1] %}{{ loop[1] }}{% endfor %}" } do
    refused(text, { x = data.map() })
  end
end)

test("what belongs to the context cannot be changed", function()
  local context = { list = data.list { 1 }, map = data.map { { "a", 1 } } }
  for _, text in ipairs { "{% do list.append(2) %}", "{{ map.update({'b': 2}) }}",
    "{{ list.pop() }}", "{{ map.pop('a') }}", "{% set map.a = 2 %}", "{{ list.sort() }}" } do
    refused(text, context)
  end
  check.equal(render("{% set l = list + [2] %}{% do l.append(3) %}{{ l }}", context), "[1, 2, 3]")
  check.equal(context, { list = { 1 }, map = { a = 1 } })
end)

test("what is too large for Lua is an error with a line", function()
  local sets, sums = {}, {}
  for i = 1, 300 do
    sets[i] = ("{%% set v%d = 1 %%}\n"):format(i)
    sums[i] = "n"
  end
  local problem = refused("{% for n in [1] %}\n" .. table.concat(sets) .. "{% endfor %}")
  check.contains(problem.message, "too large, divide it: too many local variables")
  problem = refused("\n\n{{ [n].index(" .. table.concat(sums, ", ") .. ") }}", { n = 1 })
  check.equal(problem.line, 3)
  problem = refused(("{% if true %}"):rep(300) .. ("{% endif %}"):rep(300))
  check.contains(problem.message, "too large")
  check.contains(refused("{{ " .. ("("):rep(5000) .. "1" .. (")"):rep(5000) .. " }}"),
    "nested too deep")
  check.equal(render("{{ " .. ("("):rep(40) .. "1" .. (")"):rep(40) .. " }}"), "1")
  check.contains(refused("{{ n" .. (" + n"):rep(500) .. " }}").message, "too large")
  check.equal(#render(("{{ n }}"):rep(5000), { n = 1 }), 5000)
end)

test("a macro cannot leave the loop around it", function()
  for _, tag in ipairs { "macro m()", "call m()", "block m" } do
    local name = tag:match("%l+")
    local problem = refused(("{%% for i in [1] %%}{%% %s %%}{%% continue %%}{%% end%s %%}"
      .. "{%% endfor %%}"):format(tag, name))
    check.contains(problem.message, "'continue' outside of a loop")
  end
end)

test("endless and enormous templates are stopped", function()
  local rows = {
    { "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "deep" },
    { "{% include 'self' %}", "deep", { self = "{% include 'self' %}" } },
    { "{% extends 'self' %}", "deep", { self = "{% extends 'self' %}" } },
    { "{{ range(10 ** 9) }}", "a range of more than" },
    { "{{ 'x' * 10 ** 9 }}", "more than 64 MiB" },
    { "{{ [0] * 10 ** 9 }}", "more than a million" },
    { "{{ '%999999999d' % 1 }}", "more than 64 MiB" },
    { "{% set ns = namespace(s='x') %}{% for i in range(99) %}"
      .. "{% set ns.s = ns.s ~ ns.s %}{% endfor %}", "more than 64 MiB" },
    { "{{ 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' is match('(a*)*b') }}", "takes too long" },
    { "{% set r = range(100000) %}{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}",
      ("more than %d rounds"):format(runtime.MAX_ROUNDS) },
    { "{{ 2 ** 64 }}", "does not fit" }, { "{{ 9223372036854775807 + 1 }}", "does not fit" },
    { "{{ range(9) | permutations | list | length }}", "more than 100000" },
  }
  for _, row in ipairs(rows) do
    check.contains(refused(row[1], {}, { loader = row[3] }), row[2])
  end
end)

test("errors that values of the context raise pass through as they are", function()
  local mine = setmetatable({}, { __tostring = function() return "mine" end })
  local context = setmetatable({}, { __index = function(_, name)
    if name == "secret" then error(mine) end
  end })
  local got, problem = render("{{ secret }}", context)
  check.equal(got, nil)
  check.equal(rawequal(problem, mine), true)
end)

test("a context may compute its values when they are asked for", function()
  local asked = {}
  local context = setmetatable({}, { __index = function(_, name)
    asked[#asked + 1] = name
    return name == "fact" and "value" or nil
  end })
  check.equal(render("{{ fact }}{{ fact }}{% if false %}{{ other }}{% endif %}", context),
    "valuevalue")
  check.equal(asked, { "fact" })
end)

test("what a dry run does not know may be shown, and not looked into", function()
  local context = { token = unknown.new("known after m0"), list = { unknown.new("later") } }
  for _, text in ipairs { "a {{ token }} b\n", "{{ 'x' ~ token }}", "{% set t = token %}{{ t }}",
    "{% macro m(x) %}{{ x }}{% endmacro %}<{{ m(token) }}>",
    "{% macro m(a, x='') %}a{% if a %}{{ x }}{% endif %}b{% endmacro %}<{{ m(1, x=token) }}>",
    "{{ 'x' ~ token ~ 'y' ~ 'z' }}", "{% macro m(x) %}{% for i in [1] %}{{ x }}{% endfor %}c"
      .. "{% endmacro %}{{ m(x=token) }}",
    "{% for i in [1, 2] %}\n{{ token }}\n{% endfor %}", "{{ token | default('x') }}" } do
    check.equal(unknown.is(check.ok(render(text, context))), true, text)
  end
  check.contains(render("a {{ token }} b\n", context), "a (known after m0) b")
  for _, text in ipairs { "{{ token | upper }}", "{% if token %}{% endif %}", "{{ token == 1 }}",
    "{{ token.x }}", "{{ token[0] }}", "{% for i in token %}{% endfor %}", "{{ token + 1 }}",
    "{{ token | length }}", "{{ list | join }}", "{{ list }}", "{{ 1 in list }}",
    "{{ list | to_json }}", "{{ 'a' if token else 'b' }}", "{{ token() }}", "{{ token < 1 }}" } do
    check.equal(err.kind(refused(text, context)), "unknown", text)
  end
end)

test("a secret goes into the text as it is", function()
  local context = { password = secret.new("correct horse") }
  check.equal(render("p={{ password }};{{ password | b64encode }};{{ [password] | to_json }}",
    context), 'p=correct horse;Y29ycmVjdCBob3JzZQ==;["correct horse"]')
  check.equal(render("{{ password ~ '!' }} {{ {'p': password} }}", context),
    "correct horse! {'p': 'correct horse'}")
end)

test("functions of the context can be called", function()
  local context = { add = function(a, b) return a + b end,
    named = function(a, named) return a .. named.x end }
  check.equal(render("{{ add(1, 2) }} {{ named('a', x='b') }}", context), "3 ab")
end)

test("references tell what a template needs", function()
  local found, templates = template.references(table.concat({
    "{{ a }}{% set own = b %}{{ own }}", "{% for i in list %}{{ i }}{{ loop.index }}{% endfor %}",
    "{{ c | default('x') }}{% if d is defined %}{{ range(3) }}{% endif %}",
    "{% macro m(p) %}{{ p }}{{ e }}{% endmacro %}{{ m(1) }}{% include 'part' %}",
    "{% include 'maybe' ignore missing %}" }, "\n"))
  local names = {}
  for i, one in ipairs(found) do
    names[i] = one.name .. one.line .. (one.optional and "?" or "")
  end
  check.equal(names, { "a1", "b1", "list2", "c3?", "d3?", "e4" })
  check.equal(templates, {
    { name = "part", line = 4, tag = "include", optional = false },
    { name = "maybe", line = 5, tag = "include", optional = true },
  })
end)

test("an expression gives its value", function()
  local function evaluate(text, context)
    local expression, problem = template.expression(text)
    if not expression then return nil, problem end
    return expression:evaluate(context)
  end
  check.equal(evaluate("a + 1", { a = 2 }), 3)
  check.equal(evaluate("x | default(none)"), data.null)
  check.equal(evaluate("{'k': [1, a]}", { a = "b" }), { k = { 1, "b" } })
  check.equal(evaluate("not done", { done = false }), true)
  check.equal({ select(2, evaluate("nope.x")).name }, { "nope" })
  check.contains(select(2, evaluate("1 +")), "expected an expression")
  check.contains(select(2, evaluate("1 2")), "expected the end of the expression")
  check.equal(template.expression("a.b + c").references[2].name, "c")
end)

test("a macro that is called by names says what is wrong with them", function()
  local macro = "{% macro m(a, b) %}{{ a }}{{ b | default('') }}{% endmacro %}"
  check.equal(render(macro .. "{{ m(b=2, a=1) }}{{ m(1, b=3) }}{{ m(a=4) }}", {}), "12134")
  for call, words in pairs { ["m(1, a=2)"] = "got the argument 'a' twice",
    ["m(1, c=2)"] = "has no argument 'c'", ["m(1, 2, 3, b=4)"] = "takes not more than 2 arguments",
    ["m(b=1)"] = "parameter 'a' was not provided" } do
    check.contains(refused(macro .. "{{ " .. call .. " }}", {}).message, words)
  end
  check.equal(render("{% for i in [1, 2] %}{% macro m(a) %}{{ i }}{{ a }}{% endmacro %}"
    .. "{{ m(a=i) }}{% endfor %}", {}), "1122")
end)
