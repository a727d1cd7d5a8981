-- Which command a line is for. The commands are stand-ins that say what they got.
local test = ...
local check = require "lib.check"
local cli = require "kb.cli"
local err = require "kb.err"
local common = require "kb.command.common"

-- Replace a command until the guard closes. Its calls are collected, or what the
-- collection's `raise` is is raised instead.
local function stand_in(name, options, calls)
  local module = "kb.command." .. name
  local loaded, preload = package.loaded[module], package.preload[module]
  local command = { name = name, summary = "stand in", options = options,
    run = function(opts, args)
      if calls.raise then
        error(calls.raise, 0)
      end
      table.insert(calls, { name = name, opts = opts, args = args })
      return 0
    end }
  package.loaded[module] = command
  package.preload[module] = function()
    return command
  end
  return setmetatable({}, { __close = function()
    package.loaded[module], package.preload[module] = loaded, preload
  end })
end

local function route(...)
  local calls = {}
  local dry_run = { { long = "dry-run", short = "n", help = "change nothing" } }
  local run <close> = stand_in("run", common.options(common.inventory, dry_run), calls)
  local exec <close> = stand_in("exec", common.options(common.inventory), calls)
  check.equal(cli.main({ [0] = "kbrun", ... }), 0)
  check.equal(#calls, 1)
  check.ok(run and exec)
  return calls[1]
end

test("a file of Lua, a path or a file that is there is a playbook", function()
  for _, word in ipairs { "site.lua", "plays/site", "README.md" } do
    local call = route(word)
    check.equal({ call.name, call.args }, { "run", { word } })
  end
end)

test("options may stand before and between playbooks", function()
  local call = route("-n", "a.lua", "-i", "hosts", "b.lua")
  check.equal(call.name, "run")
  check.equal(call.args, { "a.lua", "b.lua" })
  check.equal(call.opts, { dry_run = true, inventory = { "hosts" } })
end)

test("run may be said", function()
  check.equal(route("run", "a.lua").args, { "a.lua" })
end)

test("a command's name is found behind options and their values", function()
  local call = route("-i", "hosts", "exec", "web*", "--", "ls", "-l")
  check.equal(call.name, "exec")
  check.equal(call.opts, { inventory = { "hosts" } })
  check.equal(call.args, { "web*", "ls", "-l", before_dashes = 1 })
end)

test("a command's name as the value of an option is a value", function()
  local call = route("-i", "exec", "a.lua")
  check.equal({ call.name, call.opts.inventory }, { "run", { "exec" } })
end)

-- What the command raises decides the status; its text goes to stderr.
local function status_when(raised)
  local calls = { raise = raised }
  local run <close> = stand_in("run", {}, calls)
  local stderr, said = io.stderr, {}
  rawset(io, "stderr", { write = function(_, ...)
    table.insert(said, table.concat({ ... }))
  end })
  local restore <close> = setmetatable({}, { __close = function()
    rawset(io, "stderr", stderr)
  end })
  check.ok(run and restore)
  return cli.main { [0] = "kbrun", "a.lua" }, table.concat(said)
end

test("an error that a command raises gives the status of its kind", function()
  local want = { usage = 2, unreachable = 3, failed = 4, verify = 4, cancelled = 5 }
  for kind, status in pairs(want) do
    local got, said = status_when(err.new(kind, "words \27[2J", { host = "m0" }))
    check.equal(got, status, kind)
    check.equal(said, "kbrun: m0: words \\x1b[2J\n")
  end
end)

test("a bug is not taken for anything else", function()
  check.raises("attempt to index a nil value", status_when, "attempt to index a nil value")
end)
