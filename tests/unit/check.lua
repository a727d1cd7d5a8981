-- Seeded mistakes: each is found, with its line, and nothing is connected.
local test = ...
local check = require "lib.check"
local kb_check = require "kb.check"
local program = require "lib.program"
local stub = require "lib.stub"
local sys = require "kb.core.sys"

local head = 'local kb = require "kb"\nlocal files = kb.use("files")\n'

local function play(body)
  return head .. 'kb.play { "p", hosts = "all", function(host)\n' .. body .. "\nend }\n"
end

-- { source, line of the mistake, words of the finding }
local mistakes = {
  { "local x = = 1", 1, "unexpected symbol" },
  { play('files.direktory(host, { "/x" })'), 4, 'did you mean "directory"?' },
  { play('files.directory(host, { "/x", mod = "0755" })'), 4, 'did you mean "mode"?' },
  { play('files.directory(host, { "/x", mode = "rwx" })'), 4, "permission bits" },
  { play('files.directory(host, { "x" })'), 4, "an absolute path" },
  { play('files.directory(host, { "/x", mode = 755 })'), 4, 'are written "0755"' },
  { play('files.directory(host, { "/x", mode = true })'), 4, "permission bits" },
  { play('files.absent(host, { "/x", recurse = "yes" })'), 4, "must be true or false" },
  { play('files.directory(host, { owner = "root" })'), 4, "needs 'path'" },
  { play('files.link(host, { "/l" })'), 4, "needs 'to'" },
  { play('files.line(host, { "/f", line = "x", state = "gone" })'), 4,
    "one of present, absent" },
  { play('files.copy(host, { "/f", from = "none.conf" })'), 4, "there is no file" },
  { play('files.copy(host, { "/f", from = "/etc" })'), 4, "no file /etc (it is a directory)" },
  { play('files.template(host, { "/f", from = "none.j2" })'), 4, "there is no file" },
  { play('files.template(host, { "/f", from = "bad.j2" })'), 1, "expected" },
  { play('files.template(host, { "/f", from = "prot.j2" })'), 2, 'did you mean "port"?' },
  { play('local a = host.vars.prot'), 4, 'did you mean "port"?' },
  { play('local a = undefined_thing + 1'), 4, "'undefined_thing' is not defined" },
  { play('a_global = 1'), 4, "would be a global variable" },
  { play('if host.name == "a" then\nfor i = 1, 2 do\n'
    .. 'local f = function() return zzz end\nend\nend'), 6, "'zzz' is not defined" },
  { play('host:fact("file.stats", "/x")'), 4, 'did you mean "file.stat"?' },
  { play('host:fcat("file.stat", "/x")'), 4, "no method 'fcat'; did you mean \"fact\"?" },
  { play('if host.name == "x" then host.warn("y") end'), 4, "wants a colon: host:warn(…)" },
  { play('files.line(host, { "/x", line = "a", match = "[a" })'), 4, "must be a Lua pattern" },
  { play('files.line(host, { "/x", line = "a\\n" })'), 4, "one line, without a line break" },
  { play('kb.gate(host, { "x", fact = { "port.open", 80 }, holds = print })'), 4,
    "no fact 'port.open'" },
  { play('kb.onse(host, "x", function() end)'), 4, 'did you mean "once"?' },
  { 'local kb = require "kb"\nlocal fiels = kb.use("fiels")\n', 2, 'did you mean "files"?' },
  { head .. 'kb.play { "p", hosts = "nobody", function() end }', 3, "'nobody'" },
  { head .. 'kb.play { "p", host = "all", function() end }', 3, 'did you mean "hosts"?' },
  { head .. 'kb.play { "p", hosts = "all", needs = { "q" }, function() end }', 3,
    'needs "q", which there is not' },
  { head .. 'kb.include "none.lua"', 3, "there is no playbook" },
  { head .. 'local function body(host)\nreturn host.vars.prot\nend\n'
    .. 'kb.play { "p", hosts = "all", body }', 4, "variable 'prot'" },
}

local function with_files(fn)
  local dir = check.ok(sys.mkdtemp("/tmp/kbrun-test-"))
  check.ok(sys.mkdir(dir .. "/templates"))
  check.ok(sys.write_file(dir .. "/templates/bad.j2", "{% if %}\n"))
  check.ok(sys.write_file(dir .. "/templates/prot.j2", "x\n{{ prot }} {{ port }}\n"))
  check.ok(sys.write_file(dir .. "/templates/good.j2",
    "{{ port }}{{ mine }}{{ x | default(1) }}\n"))
  local ok, e = pcall(fn, dir)
  stub.shell("rm -rf " .. dir)
  if not ok then
    error(e, 0)
  end
end

local function findings_of(dir, source)
  local path = dir .. "/playbook.lua"
  check.ok(sys.write_file(path, source))
  return kb_check.check({ path }, { inventory = stub.inventory({ "h1", "h2" }, { port = 80 }) })
end

test("each seeded mistake is found, in its line", function()
  with_files(function(dir)
    local missed = {}
    for i, mistake in ipairs(mistakes) do
      local hit = false
      local said = {}
      for _, f in ipairs(findings_of(dir, mistake[1])) do
        hit = hit or f.line == mistake[2] and f.message:find(mistake[3], 1, true) ~= nil
        said[#said + 1] = ("%s:%s: %s"):format(f.file, f.line, f.message)
      end
      if not hit then
        missed[#missed + 1] = ("%d (%s) said: %s"):format(i, mistake[3], table.concat(said, " | "))
      end
    end
    check.equal(missed, {})
  end)
end)

test("a right playbook has no finding", function()
  with_files(function(dir)
    check.equal((findings_of(dir, play [[
local function helper(h, list)
  for i, name in ipairs(list) do
    files.directory(h, { "/srv/" .. name, mode = "0755", [i == 1 and "owner" or "group"] = "root" })
  end
end
helper(host, { "a", "b" })
files.file(host, { "/f", backup = false, sensitive = true, timeout = 5 })
files.template(host, { "/f", from = "good.j2", vars = { mine = 1 } })
local r = files.file(host, { "/g", content = tostring(host.vars.port) })
if r.changed then kb.on(host, "h2", function(other) return other.vars.port end) end
goto done
::done::
return (host:var("optional", "x"))]])), {})
  end)
end)

test("a mistake is said once, and nothing is loaded that could open a connection", function()
  with_files(function(dir)
    local path = dir .. "/playbook.lua"
    check.ok(sys.write_file(path, 'local kb = require "kb"\nkb.use("fiels")\n'))
    check.equal(#findings_of(dir, sys.read_file(path)), 1)
    check.ok(sys.write_file(path, play 'files.file(host, { "/x", conten = "" })'))
    check.ok(sys.write_file(dir .. "/run.lua", ([[
      local found = require("kb.check").check({ %q }, {})
      assert(#found == 1, #found)
      for name in pairs(package.loaded) do
        if name:find "^kb.core.net" or name:find "^kb.core.ssh" or name:find "^kb.transport"
          or name == "kb.remote" then
          error(name .. " is loaded")
        end
      end]]):format(path)))
    local r = program.run { program.kbrun, "lua", dir .. "/run.lua" }
    check.equal(r.status, 0, r.out .. r.err)
  end)
end)

test("a playbook that is not there is one finding, without a line", function()
  local found = kb_check.check({ "/no/such/playbook.lua" }, {})
  check.equal(#found, 1)
  check.equal(kb_check.line(found[1]),
    "/no/such/playbook.lua: there is no playbook /no/such/playbook.lua\n")
end)

test("plays that want the same that is not there are one finding", function()
  with_files(function(dir)
    local source = head
    for name, hosts in ("1 nobody 2 masters 3 masters 4 nobody 5 nobody"):gmatch "(%d) (%a+)" do
      source = source .. ('kb.play { "%s", hosts = "%s", function() end }\n'):format(name, hosts)
    end
    local said = {}
    for i, f in ipairs(findings_of(dir, source)) do
      said[i] = ("%d: %s"):format(f.line, f.message)
    end
    check.equal(said, { '3: play "1" and 2 others: no host or group is called \'nobody\'',
      '4: play "2" and "3": no host or group is called \'masters\'' })
  end)
end)
