-- How fast templates render, against Jinja2 in the same run: loops of 200
-- rounds as configuration files have them. Fails where a ratio is not kept. The
-- ratios are those of a release build; the sanitizers of others make Lua slow.
--   kbrun lua tests/bench/template.lua
local data = require "kb.data"
local json = require "kb.json"
local proc = require "kb.core.proc"
local template = require "kb.template"

local rounds = 300

local hosts = data.list {}
for i = 1, 200 do
  hosts[i] = data.map {
    { "name", "node" .. i }, { "ip", "10.0.0." .. i }, { "port", 6443 + i },
    { "labels", data.list { "worker", "zone-" .. i % 3 } }, { "ready", i % 2 == 0 },
  }
end
local context = data.map { { "hosts", hosts }, { "domain", "cluster.local" } }

-- `promised`: how many times as fast as Jinja2, both compiled before.
local cases = {
  { name = "a loop with one value", promised = 3,
    template = "{% for h in hosts %}{{ h.name }}\n{% endfor %}" },
  { name = "backends of haproxy", promised = 3, template = [[
{% for h in hosts %}
    server {{ h.name }} {{ h.ip }}:{{ h.port }} check weight {{ loop.index }}
{% endfor %}
]] },
  { name = "conditions and filters", promised = 3, template = [[
{% for h in hosts if h.ready %}
{{ loop.index }}. {{ h.name | upper }}.{{ domain }}{% if h.labels | length > 1 %} ({{ h.labels
  | join(', ') }}){% endif %}{{ ' last' if loop.last else '' }}
{% endfor %}
]] },
  { name = "a macro called in each round", promised = 3, template = [[
{% macro entry(name, ip, alias='') %}{{ ip }}	{{ name }}{% if alias %} {{ alias }}{% endif %}
{% endmacro %}
{% for h in hosts %}{{ entry(h.name, h.ip, alias=h.name ~ '.' ~ domain) }}{% endfor %}
]] },
}

local function least(run)
  local best = math.huge
  for _ = 1, rounds do
    local start = os.clock()
    run()
    best = math.min(best, os.clock() - start)
  end
  return best * 1000
end

local function ask_jinja(case)
  local p, io = assert(proc.spawn { argv = { "/usr/bin/python3", "tests/bench/template.py" } })
  assert(io.stdin:write(json.encode { template = case.template, context = context }))
  io.stdin:close()
  local parts = {}
  for chunk in function() return (io.stdout:read()) end do parts[#parts + 1] = chunk end
  local complaint = io.stderr:read()
  io.stdout:close()
  io.stderr:close()
  assert(p:wait() == 0, complaint)
  return assert(json.decode(table.concat(parts)))
end

-- The name changes each time, so that nothing is found in the cache.
local function compile_and_render(case)
  local count = 0
  return function()
    count = count + 1
    assert(assert(template.compile(case.template, { name = "bench" .. count })):render(context))
  end
end

-- What else the machine does makes things slow, never fast: so what is too slow is measured again.
local ATTEMPTS = 3

local function measure(case)
  local jinja = ask_jinja(case)
  local compiled = assert(template.compile(case.template))
  -- Where blocks are trimmed, Ansible puts back a newline at the end, Jinja2 does not.
  local same = assert(compiled:render(context)):gsub("\n*$", "") == jinja.text:gsub("\n*$", "")
  assert(same, case.name .. " renders differently")
  return jinja, least(function() compiled:render(context) end), least(compile_and_render(case))
end

local slow = {}
print(("%-30s %9s %9s %6s   %9s %9s %6s"):format("milliseconds", "jinja2", "kbrun", "ratio",
  "+compile", "+compile", "ratio"))
for _, case in ipairs(cases) do
  local jinja, render, whole
  for _ = 1, ATTEMPTS do
    jinja, render, whole = measure(case)
    if jinja.render / render >= case.promised then break end
  end
  print(("%-30s %9.3f %9.3f %6.1f   %9.3f %9.3f %6.1f"):format(case.name, jinja.render, render,
    jinja.render / render, jinja.whole, whole, jinja.whole / whole))
  if jinja.render / render < case.promised then
    slow[#slow + 1] = ("%s: not %g times as fast as Jinja2"):format(case.name, case.promised)
  end
end
if #slow > 0 then
  print(table.concat(slow, "\n"))
  return 1
end
