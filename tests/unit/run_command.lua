-- kbrun PLAYBOOK from outside: exit statuses, what is chosen, what is told.
local test = ...
local check = require "lib.check"
local json = require "kb.json"
local proc = require "kb.core.proc"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local INVENTORY = [[
all:
  hosts:
    here: {ansible_connection: local}
    gone: {ansible_host: 127.0.0.1, ansible_port: 1}
]]

-- Run a playbook given as text on `here`; nil as a pattern means all hosts.
local function ground(dir)
  check.ok(sys.write_file(dir .. "/hosts.yaml", INVENTORY))
  local g = {}
  function g.argv(text, ...)
    check.ok(sys.write_file(dir .. "/play.lua", text))
    return { program.kbrun, dir .. "/play.lua", "-i", dir .. "/hosts.yaml", "-e", "dir=" .. dir,
      "--retries", "0", ... }
  end
  function g.run(...)
    return program.run(g.argv(...), { env = { XDG_CACHE_HOME = dir .. "/cache" } })
  end
  return g
end

local function play(name, hosts, body, more)
  return ('local kb = require "kb"\nlocal files, command = kb.use("files", "command")\n'
    .. 'kb.play { "%s", hosts = "%s", %s function(host)\nlocal dir = host.vars.dir\n%s\nend }\n')
    :format(name, hosts, more or "", body)
end

local one_file = play("p", "here", 'files.file(host, { dir .. "/made", content = "x" })')

test("the exit status says how it ended", function()
  local dir <close> = scratch()
  local g = ground(dir.path)
  local r = g.run(one_file, "-n")
  check.equal(r.status, 0, r.err)
  check.equal((sys.stat(dir.path .. "/made")), nil)
  check.equal(g.run(one_file, "-n", "--exit-code").status, 10)
  check.equal(g.run(one_file).status, 0)
  check.equal(sys.read_file(dir.path .. "/made"), "x")
  check.equal(g.run(one_file, "-n", "--exit-code").status, 0)
  check.equal(g.run(play("p", "nobody", "")).status, 2)
  check.equal(g.run(one_file, "--colour").status, 2)
  r = g.run(play("p", "gone", 'command.run(host, { "true" })'))
  check.equal(r.status, 3, r.out)
  check.contains(r.out, "1 host unreachable")
  check.contains(r.out, "\nunreachable  gone  127.0.0.1:1: connect: Connection refused")
  check.equal(r.out:find("\nfailed", 1, true), nil, "one line for one reason")
  r = g.run(play("p", "all", 'host:fail("no")', "max_fail = 5,"))
  check.equal(r.status, 4, "a failure counts for more than a host that is not reached")
end)

test("an unknown need counts as something to do", function()
  local dir <close> = scratch()
  local r = ground(dir.path).run(play("p", "here", [[
files.file(host, { dir .. "/made", content = "x" })
command.run(host, { "true", unless = "test -e /etc" })
command.run(host, { "true", title = "whatever" })
]]), "-n")
  check.contains(r.out, "whatever  (what it changes is not said)")
  check.contains(r.out, "may run")
  check.contains(r.out, "2 changes to make, 1 that may be needed, 0 as asked")
end)

test("what a private command prints is shown to nobody", function()
  local dir <close> = scratch()
  local g = ground(dir.path)
  local body = 'local r = command.run(host, { "echo open sesame; echo so >&2; exit %d",'
    .. ' private = %s, title = "ask" })\n'
    .. 'files.file(host, { dir .. "/made", content = r.out })\n'
  local r = g.run(play("p", "here", body:format(0, "true")), "-vv")
  check.equal({ r.status, r.out:find("here | open sesame", 1, true) }, { 0 })
  check.contains(r.out, "here | so")
  check.equal(sys.read_file(dir.path .. "/made"), "open sesame\n")
  check.contains(g.run(play("p", "here", body:format(0, "false")), "-vv").out, "| open sesame")
  r = g.run(play("p", "here", body:format(1, "true")))
  check.equal({ r.status, r.out:find("\n    open sesame", 1, true) }, { 4 })
  check.contains(r.out, "output: so")
end)

test("plays that edit one file side by side do not undo what the other does", function()
  local dir <close> = scratch()
  local text = ""
  for i = 1, 5 do
    text = text .. play("p" .. i, "here", ('files.line(host, { dir .. "/f", line = "%d",'
      .. ' create = true })'):format(i), "needs = {},")
  end
  local r = ground(dir.path).run((text:gsub("\nlocal kb[^\n]*\nlocal files[^\n]*", "")))
  check.equal(r.status, 0, r.err)
  local lines = {}
  for line in check.ok(sys.read_file(dir.path .. "/f")):gmatch("%d") do
    lines[#lines + 1] = line
  end
  table.sort(lines)
  check.equal(lines, { "1", "2", "3", "4", "5" })
end)

test("what a playbook prints is an event: masked, and JSON among JSON", function()
  local dir <close> = scratch()
  local g = ground(dir.path)
  local text = 'print("loading")\n' .. play("p", "here",
    'kb.secret("open sesame")\nprint("say", 1, "open sesame")')
  local r = g.run(text)
  check.equal({ r.status, r.err }, { 0, "loading\n" })
  check.contains(r.out, "\nsay\t1\t***\n")
  for line in g.run(text, "--json").out:gmatch("[^\n]+") do
    local event = json.decode(line)
    check.ok(event, line)
    r = event.event == "print" and event or r
  end
  check.equal({ r.host, r.text }, { "here", "say\t1\t***" })
end)

test("an archive does not change the directory that it is unpacked to", function()
  local dir <close> = scratch()
  local made = program.run { "sh", "-ec", ("cd %s; mkdir -m 700 a; mkdir -p a/bin to/bin; "
    .. "echo x >a/bin/x; chmod 777 a/bin; tar -C a -cf a.tar .; chmod 755 to to/bin"):format(
      dir.path) }
  check.equal(made.status, 0, made.err)
  local r = ground(dir.path).run(play("p", "here",
    'files.archive(host, { dir .. "/to", from = dir .. "/a.tar" })'))
  check.equal(r.status, 0, r.out)
  check.ok(sys.stat(dir.path .. "/to/bin/x"))
  for _, path in ipairs { "/to", "/to/bin" } do
    check.equal(check.ok(sys.stat(dir.path .. path)).mode, tonumber("755", 8))
  end
end)

test("a preview has nothing to verify", function()
  local dir <close> = scratch()
  local r = ground(dir.path).run(one_file, "--dry-run", "--verify")
  check.equal(r.status, 2)
  check.contains(r.err, "--verify asks after each change, and a preview makes none")
end)

test("a hint that names a playbook names the inventory, too", function()
  local dir <close> = scratch()
  local g = ground(dir.path)
  check.ok(sys.write_file(dir.path .. "/more.yaml", "secret: no\n"))
  check.ok(sys.write_file(dir.path .. "/reset.lua", ""))
  check.ok(sys.write_file(dir.path .. "/a key", ""))
  local text = play("p", "here", [[
print(kb.command(host, "reset.lua", "--limit", "a b"))
print(kb.command(host, "other.lua"))]])
  local options = ("-i %s/hosts.yaml -e @%s/more.yaml -k '%s/a key' --become"):format(dir.path,
    dir.path, dir.path)
  local r = g.run(text, "-e", "@" .. dir.path .. "/more.yaml", "-e", "word=open sesame", "-k",
    dir.path .. "/a key", "-b", "--timeout", "10", "--limit", "here")
  check.equal(r.status, 0, r.err)
  check.contains(r.out, ("\nkbrun %s/reset.lua %s --limit 'a b'\n"):format(dir.path, options))
  check.contains(r.out, ("\nkbrun playbooks/other.lua %s\n"):format(options))
end)

test("Ctrl-C ends what runs, says where it stood, and exits with 5", function()
  local dir <close> = scratch()
  local g = ground(dir.path)
  local argv = g.argv(play("p", "here", ('command.run(host, { "echo $$ >%s/pid; sleep 300",'
    .. ' title = "sleep long" })'):format(dir.path)))
  local p, io = assert(proc.spawn { argv = argv })
  io.stdin:close()
  local pid
  while not pid do
    task.sleep(0.02)
    pid = (sys.read_file(dir.path .. "/pid") or ""):match "(%d+)\n"
  end
  check.ok(p:kill(2))
  local parts = {}
  for chunk in function() return (io.stdout:read()) end do
    parts[#parts + 1] = chunk
  end
  io.stdout:close()
  io.stderr:close()
  check.equal(p:wait(), 5)
  check.contains(table.concat(parts), "stopped in the middle: here")
  check.equal((sys.stat("/proc/" .. pid)), nil, "the command still runs")
end)

test("Ctrl-C ends a playbook that never waits, also when it came before that", function()
  local dir <close> = scratch()
  local interrupt = 'os.execute("kill -INT $PPID")'
  for _, begin in ipairs { interrupt, 'do local task = require "kb.core.task"\n'
    .. "local _ <close> = task.shield(10)\n" .. interrupt .. "\ntask.sleep(0.3) end" } do
    local r = ground(dir.path).run(play("p", "here", 'host:fact("file.exists", "/no/such/file")\n'
      .. begin .. '\nwhile not host:fact("file.exists", "/no/such/file") do pcall(error, "x") end'))
    check.equal(r.status, 5, r.err)
    check.contains(r.out, "interrupted, 0 changes made")
  end
end)

test("Ctrl-C ends also a coroutine of a playbook's own that never ends", function()
  local dir <close> = scratch()
  for _, run in ipairs { "coroutine.wrap(forever)()", "pcall(coroutine.wrap(forever))",
    "coroutine.resume(coroutine.create(function() coroutine.wrap(forever)() end))",
    "while true do coroutine.wrap(pcall)(error) end",
    "coroutine.wrap(function() local _ <close> = setmetatable({}, { __close = forever }) "
      .. "error(1) end)()" } do
    local r = ground(dir.path).run(play("p", "here", [[
local function forever() while true do end end
os.execute("kill -INT $PPID")
]] .. run))
    check.equal(r.status, 5, run .. r.err)
    check.contains(r.out, "interrupted, 0 changes made")
  end
end)

test("a play waits for what the plays needed that are left out before it", function()
  local dir <close> = scratch()
  local g = ground(dir.path)
  local chain = play("one", "here", 'host:fail("no")', 'max_fail = 0, tags = { "first" },')
    .. 'kb.play { "two", hosts = "all", needs = { "one" }, tags = { "second" }, function() end }\n'
    .. 'kb.play { "three", hosts = "all", needs = { "two" }, tags = { "third" }, function() end }'
  local r = g.run(chain, "--tags", "first", "--tags", "third")
  check.equal(r.status, 4)
  check.contains(r.out, 'three: needs "one", which did not get done')
  check.equal(g.run(chain, "--tags", "third").status, 0)
end)

test("tags and limits choose; a word that is none is refused with what was meant", function()
  local dir <close> = scratch()
  local g = ground(dir.path)
  local both = play("one", "here", 'files.file(host, { dir .. "/1", content = "x" })',
    'tags = { "first" },')
    .. 'kb.play { "two", hosts = "all", tags = { "second" }, function(host) host:fail("two") end }'
  check.equal(g.run(both, "--tags", "first").status, 0)
  check.equal(g.run(both, "--skip-tags", "second").status, 0)
  local r = g.run(both, "--tags", "frist")
  check.equal(r.status, 2)
  check.contains(r.err, "no play has the tag 'frist'; did you mean \"first\"?")
  check.equal(g.run(both, "--limit", "here", "--skip-tags", "second").status, 0)
  r = g.run(both, "--limit", "her")
  check.equal(r.status, 2)
  check.contains(r.err, 'did you mean "here"?')
  r = g.run(both, "--limit", "here:!here")
  check.equal({ r.status, r.out }, { 2, "" })
  check.contains(r.err, "--limit: no host matches here:!here")
end)

test("a playbook includes another one, with what lies beside that", function()
  local dir <close> = scratch()
  local g = ground(dir.path)
  check.ok(sys.mkdir(dir.path .. "/more/files"))
  check.ok(sys.write_file(dir.path .. "/more/files/text", "from beside it\n"))
  check.ok(sys.write_file(dir.path .. "/more/other.lua", play("other", "here",
    'files.copy(host, { dir .. "/copy", from = "text" })')))
  local r = g.run('local kb = require "kb"\nkb.include "more/other.lua"\n')
  check.equal(r.status, 0, r.err)
  check.equal(sys.read_file(dir.path .. "/copy"), "from beside it\n")
end)

-- The events of a run with --json.
local function told(r)
  local events = {}
  for line in r.out:gmatch "[^\n]+" do
    events[#events + 1] = check.ok(json.decode(line))
  end
  return events
end

test("--json tells the same steps by the same ids in the dry run and in the run", function()
  local dir <close> = scratch()
  local g = ground(dir.path)
  local function ids(...)
    local list, summary = {}, nil
    local text = play("p", "here", [[
for i = 1, 2 do
  files.file(host, { dir .. "/" .. i, content = "x" })
end
files.directory(host, { dir .. "/sub/dir" })]])
    for _, e in ipairs(told(g.run(text, "--json", ...))) do
      list[#list + 1] = e.event == "step" and e.status ~= "running" and e.id .. " " .. e.status
        or nil
      summary = e.event == "summary" and e or summary
    end
    return list, summary
  end
  local said, before = ids("-n")
  local done, after = ids()
  check.equal(#said, 3)
  check.equal(done, said)
  check.equal({ before.dry_run, before.steps.changed, after.dry_run, after.steps.changed },
    { true, 3, false, 3 })
  check.equal(after.trips.here > 0, true)
end)

test("--offline needs no host", function()
  local dir <close> = scratch()
  local r = ground(dir.path).run(play("p", "all",
    'files.file(host, { "/etc/motd", content = "x" })'), "--offline")
  check.equal(r.status, 0, r.out .. r.err)
  check.contains(r.out, "2 changes to make")
end)
