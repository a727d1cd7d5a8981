-- What cannot be undone is asked about before it is done.
local test = ...
local check = require "lib.check"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"

local PLAYBOOK = [[
local kb = require "kb"
local files = kb.use "files"
kb.play { "remove", hosts = "all", asks = true, function(host)
  kb.confirm(host, { "Remove it?", text = "h1: all of it" })
  if host.name == "h1" then -- both are this machine
    files.absent(host, { host.vars.path })
  end
end }
]]

-- A local host with a file, and kbrun at work on it; words come before the playbook's name.
local function ground(dir)
  local g = { file = dir .. "/file" }
  check.ok(sys.write_file(dir .. "/playbook.lua", PLAYBOOK))
  check.ok(sys.write_file(dir .. "/inventory.yaml", ("all:\n  vars: {path: %s}\n  hosts:\n"
    .. "    h1: {ansible_connection: local}\n    h2: {ansible_connection: local}\n")
    :format(g.file)))
  local command = ("%s %s/playbook.lua -i %s/inventory.yaml"):format(program.kbrun, dir, dir)
  function g.run(more, options)
    check.ok(sys.write_file(g.file, "x"))
    return program.run({ "sh", "-c", command .. " " .. more }, options)
  end
  -- On a terminal of its own.
  function g.type(answer)
    check.ok(sys.write_file(g.file, "x"))
    return program.run({ "script", "-qec", command, "/dev/null" }, { input = answer .. "\n" })
  end
  return g
end

test("without a terminal it refuses before anything is connected, unless --yes", function()
  local dir <close> = scratch()
  local g = ground(dir.path)
  local r = g.run("</dev/null")
  check.equal(r.status, 2, r.out)
  check.contains(r.err, "asks before it acts, and there is no terminal: say --yes")
  check.ok(sys.stat(g.file))
  r = g.run("--yes </dev/null")
  check.equal(r.status, 0, r.err)
  check.contains(r.out, "h1: all of it")
  check.contains(r.out, "Remove it? yes, by --yes")
  check.equal(sys.stat(g.file), nil)
  r = g.run("--dry-run </dev/null")
  check.equal(r.status, 0, r.err)
  check.contains(r.out, "a dry run does not ask")
  check.ok(sys.stat(g.file))
end)

test("at a terminal it asks once, and only yes is yes", function()
  local dir <close> = scratch()
  local g = ground(dir.path)
  for answer, status in pairs { yes = 0, no = 4, [""] = 4, y = 4 } do
    local r = g.type(answer)
    check.equal(r.status, status, r.out)
    check.equal(select(2, r.out:gsub("yes or no: ", "")), 1, r.out)
    check.equal(sys.stat(g.file) == nil, status == 0, answer)
    check.equal(r.out:find("the answer was not yes: nothing was done", 1, true) ~= nil, status ~= 0)
  end
end)

test("a play that does not say so may not ask", function()
  local dir <close> = scratch()
  local g = ground(dir.path)
  check.ok(sys.write_file(dir.path .. "/playbook.lua", (PLAYBOOK:gsub("asks = true, ", ""))))
  local r = g.run("--yes </dev/null")
  check.ok(r.status ~= 0)
  check.contains(r.out .. r.err, "playbook.lua:4")
  check.contains(r.out .. r.err, "the play must say asks = true")
  check.ok(sys.stat(g.file))
end)
