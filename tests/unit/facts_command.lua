local test = ...
local check = require "lib.check"
local json = require "kb.json"
local program = require "lib.program"

local function facts(...)
  return program.run { program.kbrun, "facts", ... }
end

test("without arguments, the facts there are", function()
  check.contains(facts().out, "\nfile.stat\n")
end)

test("the answer of a host", function()
  local r = facts("--host", "local", "file.stat", "/etc/passwd")
  check.equal({ r.status, r.err }, { 0, "" })
  local head, value = r.out:match("^(%w+)\n(.*)$")
  check.equal(head, "local")
  check.equal(json.decode(value).kind, "file")
end)

test("one JSON object per host", function()
  local r = facts("--host", "local", "file.stat", "/no/such", "--json")
  local answer = json.decode(r.out)
  check.equal({ answer.host, answer.fact, answer.value.kind }, { "local", "file.stat", "absent" })
end)

test("permission bits are shown as operations take them", function()
  local r = facts("--host", "local", "file.stat", "/tmp")
  check.equal(json.decode(r.out:match("\n(.*)$")).mode, "1777")
  check.equal(json.decode(facts("--host", "local", "file.stat", "/etc", "--json").out).value.mode,
    "0755")
  r = facts("--host", "local", "user.skeleton")
  check.equal(r.status, 0, r.err)
end)

test("what is misspelt or incomplete is refused before anything is asked", function()
  local r = facts("--host", "local", "file.sata", "/etc")
  check.equal({ r.status, r.out }, { 2, "" })
  check.contains(r.err, 'did you mean "file.stat"?')
  r = facts("--host", "local", "file.stat")
  check.equal(r.status, 2)
  check.contains(r.err, "kbrun doc file.stat")
  r = facts("--host", "local", "file.stat", "/etc", "/usr")
  check.equal({ r.status, r.out }, { 2, "" })
end)

test("what cannot be answered is said as JSON, too", function()
  local r = facts("--host", "local", "unit.moments", "-", "--json")
  check.equal(r.status, 4)
  check.contains(json.decode(r.out).error, "unit.moments: ")
end)
