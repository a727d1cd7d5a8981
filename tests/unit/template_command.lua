local test = ...
local check = require "lib.check"
local program = require "lib.program"
local sys = require "kb.core.sys"

local function with_files(files, fn)
  local dir = check.ok(sys.mkdtemp("/tmp/kbrun-test-"))
  local _ <close> = setmetatable({}, { __close = function()
    for name in pairs(files) do
      sys.remove(dir .. "/" .. name)
    end
    sys.remove(dir)
  end })
  for name, text in pairs(files) do
    check.ok(sys.write_file(dir .. "/" .. name, text))
  end
  fn(function(...)
    return program.run({ program.kbrun, "template", ... }, { cwd = dir })
  end)
end

local hosts = [[
web:
  hosts:
    w0: { port_base: 80 }
  vars:
    listen: "{{ port_base + 1 }}"
]]

test("a template with the variables of a host, and others over them", function()
  with_files({ ["hosts.yaml"] = hosts,
    ["a.j2"] = "{{ inventory_hostname }} {{ listen }} {% include 'b.j2' %}\n",
    ["b.j2"] = "in {{ groups.web | join(',') }}" }, function(kbrun)
    check.equal(kbrun("a.j2", "-i", "hosts.yaml", "--host", "w0"),
      { status = 0, out = "w0 81 in w0\n", err = "" })
    check.equal(kbrun("a.j2", "-i", "hosts.yaml", "-H", "w0", "-e", "port_base=7").out,
      "w0 8 in w0\n")
  end)
end)

test("from stdin, with nothing but what is given", function()
  local r = program.run({ program.kbrun, "template", "-", "-e", "x=[1, 2]" },
    { input = "{{ x | sum }}" })
  check.equal(r, { status = 0, out = "3", err = "" })
end)

test("what is undefined, missing or misspelt is an error, and nothing is printed", function()
  with_files({ ["hosts.yaml"] = hosts, ["a.j2"] = "one\n{{ nmae }}\n" }, function(kbrun)
    local r = kbrun("a.j2")
    check.equal({ r.status, r.out }, { 2, "" })
    check.contains(r.err, "a.j2:2: ")
    check.contains(r.err, "nmae")
    check.contains(kbrun("c.j2").err, "c.j2")
    check.contains(kbrun("a.j2", "-i", "hosts.yaml", "-H", "w1").err, 'did you mean "w0"?')
  end)
end)

test("what a template needs, with lines", function()
  with_files({ ["a.j2"] = "{{ x }}\n{{ y | default(1) }}\n{% include 'b.j2' %}\n" }, function(kbrun)
    check.equal(kbrun("--needs", "a.j2").out,
      "1\tvariable\tx\n2\tvariable\ty\toptional\n3\ttemplate\tb.j2\n")
  end)
end)
