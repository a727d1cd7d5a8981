-- What a relay takes upon itself, with a host that only says what the script would say.
local test = ...
local check = require "lib.check"
local crypto = require "kb.core.crypto"
local scratch = require "lib.scratch"
local spool_of = require "kb.relay.spool"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local MB = 1 << 20
local SPARE = 64 * MB -- what the relay's disk keeps free

local function blob(dir, letter, size)
  local content = letter:rep(size)
  local hash = crypto.digest("sha256", content)
  check.ok(sys.write_file(dir.path .. "/" .. letter, content))
  return { sha256 = hash, size = size, file = dir.path .. "/" .. letter }
end

-- A host that has so much room, and says `whole` of each blob but those that it finds bad.
local function host(free, bad)
  local remote = {}
  function remote.run(_, _, opts)
    opts.on_output("out", ("ready 0 %d\n"):format(free))
    for order in opts.stdin do
      local hash = order:match("^whole (%x+)")
      if hash then
        local word = bad[hash] and "bad" or "whole"
        bad[hash] = nil
        opts.on_output("out", ("%s %s\n"):format(word, hash))
      end
    end
    opts.on_end()
    return { code = 0, out = "", err = "" }
  end
  return remote
end

local function with_spool(remote, fn)
  local spool = spool_of.open { spawn = task.background, open = function()
    return remote, nil
  end }
  local changed = task.condition()
  local function until_true(is)
    local _ <close> = task.within(10)
    while not is() do
      check.ok(changed:wait())
    end
  end
  local first <close> = spool:enter(changed)
  until_true(function()
    return spool.ready
  end)
  fn(spool, first, until_true, changed)
end

test("what has come since it looked takes of the room that there was", function()
  local dir <close> = scratch()
  local a, b = blob(dir, "a", 6 * MB), blob(dir, "b", 6 * MB)
  with_spool(host(SPARE + 10 * MB, {}), function(spool, first, until_true, changed)
    check.ok(first:want { a })
    until_true(function()
      return (spool.have[a.sha256] or {}).whole
    end)
    local second <close> = spool:enter(changed)
    local ok, message = second:want { b }
    check.equal(ok, nil)
    check.contains(message, "its disk has 71 MB free, 73 are needed")
    check.ok(first:want { a }) -- it is there already
  end)
end)

test("what it had before, and what it threw away, takes none", function()
  local dir <close> = scratch()
  local a, b = blob(dir, "a", 6 * MB), blob(dir, "b", 2 * MB)
  with_spool(host(SPARE + 10 * MB, { [a.sha256] = true }), function(spool, first, until_true)
    check.ok(first:want { a })
    until_true(function()
      return spool.failed[a.sha256]
    end)
    local second <close> = spool:enter(task.condition())
    check.ok(second:want { b })
  end)
end)
