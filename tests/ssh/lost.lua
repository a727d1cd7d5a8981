-- Connections that are lost in the middle of a run: what is safe goes on over a new one, and what
-- may or may not have been done is a failure that says so.
local test = ...
local check = require "lib.check"
local crypto = require "kb.core.crypto"
local reach = require "lib.reach"
local remote = require "kb.remote"
local sshd = require "lib.sshd"
local stub = require "lib.stub"
local sys = require "kb.core.sys"

-- Shell text that ends the sshd it runs under.
local KILL = [[
p=$$
until [ "$(cat /proc/$p/comm)" = sshd ]; do
  p=$(sed 's/.*) . //; s/ .*//' /proc/$p/stat)
done
kill -9 $p
]]

-- Its first run kills the connection, the others do not. Each leaves a line.
local function once(dir)
  return ("echo ran >>%s/runs; mkdir %s/first 2>/dev/null && { %s sleep 30; }; echo fine"):format(
    dir, dir, KILL)
end

-- End the connection once, when so much of a file was sent.
local function cut_after(r, size)
  local put = r.put
  function r.put(self, spec)
    r.put = nil
    return put(self, setmetatable({ progress = function(done)
      if done > size then
        r.connection:close()
      end
    end }, { __index = spec }))
  end
end

-- Run a playbook on a real server. In it `lost` has dir, once, cut and cut_after, which end the
-- connection, and write, which makes a file of the content; its steps are shell commands (acts) and
-- files (puts).
local function run(text, check_it, retries, content)
  local server <close> = sshd.new()
  server:listen()
  local settings = reach.target(server, { name = "h1" })
  local opened
  package.loaded["test.lost"] = { dir = server.dir, once = once(server.dir), cut = function()
    opened.connection:close()
  end, cut_after = function(size)
    cut_after(opened, size)
  end, write = function(name)
    check.ok(sys.write_file(server.dir .. "/" .. name, content))
  end }
  local events, summary = stub.run([[
local kb, lost = require "kb", require "test.lost"
local acts = kb.op { name = "t.acts", args = { { "run", "string", "", at = 1 } },
  plan = function(args) return { title = "act", actions = { args.run } } end }
local puts = kb.op { name = "t.puts", args = { { "put", "table", "", at = 1 } },
  plan = function(args) return { title = "put", actions = { { put = args.put } } } end }
kb.fact { name = "t.said", command = function(text) return text end,
  parse = function(out) return out end }
kb.play { "p", hosts = "all", function(host)
]] .. text .. "\nend }", { retries = retries or 2, open = function()
    opened = check.ok(remote.open(settings))
    return opened
  end })
  local runs = select(2, (sys.read_file(server.dir .. "/runs") or ""):gsub("ran\n", ""))
  local retried = 0
  for _, event in ipairs(events) do
    retried = retried + (event.event == "retry" and 1 or 0)
  end
  check_it({ summary = summary, runs = runs, retried = retried, dir = server.dir,
    failure = summary.failures[1] and summary.failures[1].text or "" })
end

test("lost between two steps: the next one connects again", function()
  run([[
    acts(host, "echo one >>" .. lost.dir .. "/steps")
    lost.cut()
    acts(host, "echo two >>" .. lost.dir .. "/steps")
    lost.cut()
    assert(host:fact("t.said", "echo three") == "three\n")
  ]], function(r)
    check.equal({ r.failure, sys.read_file(r.dir .. "/steps") }, { "", "one\ntwo\n" })
  end)
end)

test("lost while a fact is asked, or a command that reads: asked again", function()
  for _, text in ipairs { 'assert(host:fact("t.said", lost.once) == "fine\\n")',
    'assert(host:read(lost.once).out == "fine\\n")' } do
    run(text, function(r)
      check.equal({ r.failure, r.runs, r.retried }, { "", 2, 1 })
    end)
  end
end)

test("not more often than --retries says", function()
  run([[host:read("echo ran >>" .. lost.dir .. "/runs;" .. ]] .. ("%q"):format(KILL) .. ")",
    function(r)
      check.equal({ r.runs, r.retried }, { 3, 2 })
      check.contains(r.failure, "h1: the shell was lost while the command ran")
    end)
  run("host:read(lost.once)", function(r)
    check.equal(r.runs, 1)
    check.contains(r.failure, "the shell was lost")
  end, 0)
end)

test("lost while a step's command runs: it is not run again, and the failure says so", function()
  run("acts(host, lost.once)", function(r)
    check.equal({ r.runs, r.retried, r.summary.lost.h1.outcome }, { 1, 0, "unreachable" })
    check.contains(r.failure,
      "h1: the shell was lost while the command ran, so its outcome is not known")
  end)
end)

test("lost while a file is sent: the rest of it is sent over a new connection", function()
  local text = crypto.random(1 << 20):rep(16)
  run([[
    lost.write("from")
    acts(host, "true")
    lost.cut_after(8 << 20)
    puts(host, { put = { path = lost.dir .. "/to", file = lost.dir .. "/from" } })
  ]], function(r)
    check.equal({ r.failure, r.retried }, { "", 1 })
    check.equal(sys.read_file(r.dir .. "/to") == text, true)
  end, nil, text)
end)
