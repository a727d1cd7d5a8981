-- Plans after one another, and what effects leave unknown.
local test = ...
local check = require "lib.check"
local kb = require "kb"
local stub = require "lib.stub"

local function write(path, text)
  return function(ask)
    local now = ask("file.content", path)
    if now == text then
      return nil, "already so"
    end
    return { title = "write " .. text, diff = "+" .. text, actions = { "echo " .. text },
      effect = { { "file.content", path, text } } }
  end
end

test("plans after one another know what those before them do", function()
  local ask = stub.facts { { "file.content", "/f", "old" } }
  local change = kb.sequence(ask, { write("/f", "a"), write("/f", "a"), write("/f", "b") })
  check.equal(change.title, "write a; write b")
  check.equal(change.diff, "+a\n+b")
  check.equal(change.actions, { "echo a", "echo b" })
  -- what was replaced is not stated: it could not be found when the change is verified
  check.equal(change.effect, { { "file.content", "/f", "b" } })
end)

test("plans that change nothing change nothing together", function()
  local ask = stub.facts { { "file.content", "/f", "a" } }
  local change, reason = kb.sequence(ask, { write("/f", "a") })
  check.equal(change, nil)
  check.equal(reason, "already so")
end)

local play = [[
local kb = require "kb"
local op = kb.op { name = "own.op", args = {}, plan = function()
  return { title = "do it", actions = { "true" }, effect = {
    { "file.stat", "/", { kind = "directory", mode = kb.unknown "later",
      owner = kb.unknown "later" } },
    function(name, path)
      if name == "file.content" and path == "/etc/hostname" then
        return true, kb.unknown "later"
      end
    end } }
end }
kb.play { "p", hosts = "all", function(host)
  op(host, {})
  assert(host:fact("file.content", "/etc/hostname") ~= "")
end }
]]

test("what an effect leaves unknown is not verified, and asked again in a run", function()
  local events, summary = stub.run(play, { verify = true })
  check.equal(stub.steps(events), { "changed do it" })
  check.equal(summary.counts.failed, 0)
end)

test("what an effect's rule leaves unknown ends a dry run", function()
  local _, summary = stub.run(play, { apply = false })
  check.equal(summary.counts.ended, 1)
end)
