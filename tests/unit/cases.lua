-- The operations as data. Each module's cases.lua returns a list of cases:
--   { "files.link", "replaces a link",
--     given = { { "file.stat", "/l", { kind = "link", target = "old" } }, … },   facts
--     args = { "/l", to = "new" },
--     prepared = { content = "…" },   what the operation's prepare would add to the arguments
--     actions = { "ln …" }, or title = "…", or effect = { … }      what the change must contain
--     same = "reason"   or   refuses = "words of the error" }
-- Every operation has a case that changes, one that stays and one that refuses; and every change's
-- own effect must satisfy the operation: planned again it stays the same.
local test = ...
local check = require "lib.check"
local err = require "kb.err"
local op = require "kb.op"
local stub = require "lib.stub"
local sys = require "kb.core.sys"

local function modules()
  local names = {}
  for _, name in ipairs(check.ok(sys.list("modules"))) do
    if sys.stat("modules/" .. name .. "/cases.lua") then
      names[#names + 1] = name
    end
  end
  return names
end

local function decide(o, case, ask)
  local clean = o:check(case.args)
  for k, v in pairs(case.prepared or {}) do
    clean[k] = v
  end
  return o:decide(clean, ask)
end

-- What a case says of a change: each field that it names.
local function compare(case, change)
  for _, field in ipairs { "title", "actions", "effect", "diff" } do
    if case[field] ~= nil then
      check.equal(change[field], case[field], field)
    end
  end
end

local function satisfied_by_its_effect(o, case, change)
  local given = table.move(case.given, 1, #case.given, 1, {})
  table.move(change.effect, 1, #change.effect, #given + 1, given)
  local again, reason = decide(o, case, stub.facts(given))
  if again then
    error(("planned again after its own effect it still wants: %s"):format(again.title))
  end
  check.ok(reason)
end

local function run_case(o, case)
  local ask = stub.facts(case.given or {})
  if case.refuses then
    local e = check.raises(case.refuses, decide, o, case, ask)
    check.ok(err.kind(e) ~= "bug", e)
    return "refuses"
  end
  local change, reason = decide(o, case, ask)
  if case.same then
    check.equal(change and change.title, nil)
    check.contains(reason, case.same)
    return "same"
  end
  check.ok(change, reason)
  compare(case, change)
  if case.again ~= false then
    satisfied_by_its_effect(o, case, change)
  end
  return "changes"
end

for _, module in ipairs(modules()) do
  test(module .. ": every operation changes, stays and refuses as its cases say", function()
    require("modules." .. module)
    local seen = {}
    for i, case in ipairs(assert(loadfile("modules/" .. module .. "/cases.lua"))()) do
      local name = ("%s case %d (%s)"):format(case[1], i, case[2])
      local o = check.ok(op.all()[case[1]], "there is no operation " .. case[1])
      local ok, kind = pcall(run_case, o, case)
      if not ok then
        error(name .. ": " .. tostring(kind))
      end
      seen[case[1] .. " " .. kind] = true
    end
    for name, o in pairs(op.all()) do
      if name:match("^[^.]*") == module then
        for _, kind in ipairs { "changes", "same", "refuses" } do
          check.ok(seen[name .. " " .. kind] or kind == "same" and o.always,
            ("no case in which %s %s"):format(name, kind))
        end
      end
    end
  end)
end
