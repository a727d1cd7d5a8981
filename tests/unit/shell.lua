local test = ...
local check = require "lib.check"
local local_transport = require "kb.transport.local"
local program = require "lib.program"
local proc = require "kb.core.proc"
local secret = require "kb.secret"
local shell = require "kb.shell"
local shells = require "lib.shells"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local function open(name)
  return check.ok(shell.open(shells.connect(name or "dash"), { name = "here" }))
end

local function wait_for(what, condition)
  local _ <close> = task.within(5)
  while not condition() do
    check.ok(task.sleep(0.01), "waiting until " .. what)
  end
end

local function running(pid)
  local stat = sys.read_file("/proc/" .. pid .. "/stat")
  return stat ~= nil and not stat:find(") Z ", 1, true)
end

-- Run each test with every shell that may be a host's /bin/sh.
local function each(name, fn)
  for _, which in ipairs(shells.names()) do
    test(name .. " (" .. which .. ")", function()
      local sh <close> = open(which)
      fn(sh, which)
    end)
  end
end

each("input that is no text is an error, not a command that waits for ever", function(sh)
  local _ <close> = task.within(5)
  local r, message, code = sh:run("cat", { stdin = function()
    return function() end
  end })
  check.equal({ r, code }, { nil, "EINVAL" })
  check.contains(message, "a piece of it is a function")
  check.equal(check.ok(sh:run "echo on").out, "on\n")
end)

each("output, errors and status are told apart and exact", function(sh)
  local r = check.ok(sh:run "printf 'a\\nb'; printf c >&2; exit 3")
  check.equal({ r.code, r.signal, r.out, r.err }, { 3, nil, "a\nb", "c" })
  r = check.ok(sh:run "true")
  check.equal({ r.code, r.signal, r.out, r.err }, { 0, nil, "", "" })
end)

local all_bytes = {}
for i = 0, 255 do
  all_bytes[#all_bytes + 1] = string.char(i)
end
all_bytes = table.concat(all_bytes):rep(3)

each("all bytes go both ways, but for NUL in a command", function(sh)
  local text = all_bytes:gsub("%z", "")
  local r = check.ok(sh:run("printf %s '" .. text:gsub("'", [['\'']]) .. "'"))
  check.equal(r.out, text)
  check.equal(check.ok(sh:run("cat", { stdin = all_bytes })).out, all_bytes)
  check.raises("NUL", sh.run, sh, "echo \0")
end)

each("a long command is one too", function(sh)
  local text = ("x\ny'"):rep(10000)
  local r = check.ok(sh:run("printf %s '" .. text:gsub("'", [['\'']]) .. "'\n\n"))
  check.equal(r.out, text)
  local _, message, code = sh:run((" "):rep(shell.LONGEST) .. "true")
  check.equal(code, "EINVAL")
  check.contains(message, "pass data as stdin")
  check.equal(check.ok(sh:run "echo next").out, "next\n")
end)

each("nothing in a command hurts the shell", function(sh)
  for _, text in ipairs {
    "exit 7", "cd /nowhere", "exec true", "set -e; false", "echo 'unbalanced", ")", "}; }",
    "return 5",
    "cat <<END\nno end", "echo \\", "trap 'exit 9' EXIT", "exec >&- 2>&-", "#", "",
    "exec 3>&- 6>&-",
    "kill -9 $$", "kill $$", "umask 777; PATH=; IFS=x", "unset -f run; alias true=false", "break",
    "if true", "shift 99",
  } do
    local r, message = sh:run(text)
    check.ok(r, message)
    check.equal(check.ok(sh:run "echo still here").out, "still here\n", text)
  end
  check.equal(tonumber(check.ok(sh:run "umask").out, 8), 18)
end)

each("a death by a signal is told from an exit with such a status", function(sh, which)
  local function told(command, opts)
    local r = check.ok(sh:run(command, opts))
    check.equal(r.out:find("jobs", 1, true), nil)
    return { r.code, r.signal or "", r.maybe_signal or "" }
  end
  for _, opts in ipairs { {}, { stdin = "data" } } do
    if which == "bash" then -- its list of jobs forgets those that were waited for
      check.equal(told("kill -SEGV $$", opts), { 139, "", "SEGV" })
      check.equal(told("exit 139", opts), { 139, "", "SEGV" })
    else
      check.equal(told("kill -SEGV $$", opts), { 139, "SEGV", "" })
      check.equal(told("exit 139", opts), { 139, "", "" })
      check.equal(told("kill -KILL $$", opts), { 137, "KILL", "" })
      check.equal(told("kill -PIPE $$", opts), { 141, "PIPE", "" })
      check.equal(told("kill -34 $$", opts), { 162, "34", "" })
      check.equal(told("exit 130", opts), { 130, "", "" })
      check.equal(told("exec sh -c 'exit 137'", opts), { 137, "", "" })
      check.equal(told("sleep 100 & kill -KILL $!; wait $!", opts), { 137, "", "" })
    end
    check.equal(told("exit 255", opts), { 255, "", "" })
    check.equal(told("exit 3", opts), { 3, "", "" })
  end
end)

each("a command does not read the next request", function(sh)
  check.equal(check.ok(sh:run "cat; read x; echo $?").out, "1\n")
  check.equal(check.ok(sh:run "echo fine").out, "fine\n")
end)

each("input goes to the command, whole, and what it leaves is no one's", function(sh)
  local big = all_bytes:rep(3000)
  local r = check.ok(sh:run("wc -c", { stdin = big }))
  check.equal(tonumber(r.out), #big)
  check.equal(check.ok(sh:run("exec true", { stdin = big })).code, 0)
  check.equal(check.ok(sh:run("head -c 5", { stdin = big })).out, big:sub(1, 5))
  check.equal(check.ok(sh:run("cat", { stdin = "" })).out, "")
  check.equal(check.ok(sh:run("cat", { stdin = secret.new "hidden\n" })).out, "hidden\n")
  check.equal(check.ok(sh:run "echo next").out, "next\n")
end)

each("input comes from a function as it is made", function(sh)
  local n = 0
  local r = check.ok(sh:run("cat", { stdin = function()
    n = n + 1
    task.sleep(0.001)
    return n <= 20 and ("%d,"):format(n) or nil
  end }))
  check.equal(r.out, "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,")
end)

each("input that fails on the way ends the command before it believes in its end", function(sh)
  local path = check.ok(sys.mkdtemp "/tmp/kbrun-shell.")
  local said = 0
  local function source()
    said = said + 1
    if said > 1 then
      error("the disk is gone", 0)
    end
    return "first"
  end
  local _, message = sh:run("cat >part; touch whole", { cwd = path, stdin = source })
  check.contains(message, "the disk is gone")
  check.equal(sys.stat(path .. "/whole"), nil)
  check.equal(check.ok(sh:run("rm -r " .. path)).code, 0)
end)

each("environment and directory are those of the command alone", function(sh)
  local r = check.ok(sh:run("echo \"$A\"; pwd", { env = { A = "it's\n$x" }, cwd = "/usr" }))
  check.equal(r.out, "it's\n$x\n/usr\n")
  check.equal(check.ok(sh:run "echo \"[$A]\"").out, "[]\n")
  check.equal(check.ok(sh:run("echo no", { cwd = "/nowhere" })).code, 126)
  check.raises("secret", sh.run, sh, "true", { env = { A = secret.new "hidden" } })
  check.raises("not the name", sh.run, sh, "true", { env = { ["A B"] = "" } })
end)

each("the environment is the same everywhere", function(sh)
  local r = check.ok(sh:run "env")
  local names = {}
  for name in r.out:gmatch "([%w_]+)=" do
    names[name] = true
  end
  for _, name in ipairs { "HOME", "LC_ALL", "LOGNAME", "PATH", "USER" } do
    check.equal(names[name], true, name)
  end
  check.equal(names.LANG, nil)
  check.contains(r.out, "LC_ALL=C\n")
end)

each("two streams of 10 MB at once", function(sh)
  local r = check.ok(sh:run "head -c 10485760 /dev/zero >&2 & head -c 10485760 /dev/zero; wait")
  check.equal({ #r.out, #r.err, r.code }, { 10485760, 10485760, 0 })
end)

each("output is told while the command runs", function(sh)
  local heard = {}
  local r = check.ok(sh:run("echo one; read x; echo two >&2", {
    stdin = function()
      if #heard == 0 then
        while #heard == 0 do
          task.sleep(0.005)
        end
        return "go\n"
      end
    end,
    on_output = function(kind, data)
      heard[#heard + 1] = kind .. ":" .. data
    end,
  }))
  check.equal(heard, { "out:one\n", "err:two\n" })
  check.equal(r.out, "one\n")
end)

each("combined output keeps its order", function(sh)
  local r = check.ok(sh:run("echo 1; echo 2 >&2; echo 3", { combine = true }))
  check.equal({ r.out, r.err }, { "1\n2\n3\n", "" })
end)

each("a command that takes too long is ended with all its processes", function(sh)
  local started = task.now()
  local _, message, code, so_far = sh:run("echo $$; sleep 300 & wait", { timeout = 0.3 })
  check.equal(code, "ETIMEDOUT")
  check.contains(message, "here: the command timed out after 0.3 s")
  wait_for("it is gone", function()
    return not running(tonumber(so_far.out))
  end)
  check.equal(task.now() - started < 2, true)
  check.equal(check.ok(sh:run "echo next").out, "next\n")
end)

each("one that ignores TERM is ended by KILL, and the shell lives on", function(sh)
  local _, _, code, so_far = sh:run("trap '' TERM; echo $$; sleep 300 & while :; do wait; done",
    { timeout = 0.2 })
  check.equal(code, "ETIMEDOUT")
  check.equal(running(tonumber(so_far.out)), false)
  check.equal(check.ok(sh:run "echo next").out, "next\n")
end)

each("what ignores the end of its command is killed, and writes into no other", function(sh)
  local _, _, code, so_far = sh:run("(trap '' TERM; while :; do echo late; done) & echo $!; "
    .. "sleep 300", { timeout = 0.3 })
  check.equal(code, "ETIMEDOUT")
  check.equal(running(tonumber(so_far.out:match "%d+")), false)
  for _ = 1, 5 do
    check.equal(check.ok(sh:run "echo next").out, "next\n")
  end
end)

each("a cancelled task ends its command", function(sh)
  local pid
  local t = task.spawn(function()
    sh:run("echo $$; sleep 300 & wait", { on_output = function(_, data)
      pid = tonumber(data)
    end })
  end)
  wait_for("it runs", function()
    return pid
  end)
  t:cancel()
  check.raises("cancelled", t.join, t)
  check.equal(running(pid), false)
  check.equal(check.ok(sh:run "echo next").out, "next\n")
end)

each("a background process that holds the output does not hold us", function(sh)
  local started = task.now()
  local r = check.ok(sh:run "sleep 100 & echo $!")
  check.equal(task.now() - started < 2, true)
  check.equal(sh:usable(), false)
  check.equal(running(tonumber(r.out)), true, "what it left")
  sh:close()
  check.equal(running(tonumber(r.out)), true, "what it left, after the shell's end")
  check.equal(program.run({ "kill", r.out:match "%d+" }).status, 0)
end)

each("a shell that dies is lost, not a success", function(sh)
  local _, message, code = sh:run("read a b c parent d </proc/$$/stat; kill -9 $parent; sleep 100")
  check.equal(code, "ECLOSED")
  check.contains(message, "here: the shell was lost while the command ran")
  check.equal(sh:usable(), false)
  _, _, code = sh:run "true"
  check.equal(code, "ECLOSED")
end)

-- Kill an operator whose command has these options, once it runs.
local function lose_operator(options)
  local script = ([[
    local shell = require("kb.shell").open(require("kb.transport.local").open {}, {})
    shell:run("echo $$; sleep 300 & echo $!; wait", { %s on_output = function(_, data)
      io.write(data)
      io.flush()
    end })]]):format(options)
  local path = check.ok(sys.mkdtemp "/tmp/kbrun-shell.") .. "/script.lua"
  check.ok(sys.write_file(path, script))
  local process, pipes = check.ok(proc.spawn { argv = { program.kbrun, "lua", path } })
  local said = ""
  wait_for("both processes run", function()
    said = said .. pipes.stdout:read()
    return said:match "%d+\n%d+\n"
  end)
  check.ok(process:kill(9))
  process:wait()
  local a, b = said:match "(%d+)\n(%d+)\n"
  local started = task.now()
  wait_for("they are gone", function()
    return not running(a) and not running(b)
  end)
  check.equal(task.now() - started < 2, true)
  sys.remove(path)
  sys.remove(path:match "^(.*)/")
  for _, stream in pairs(pipes) do
    stream:close()
  end
end

test("when the operator's program is killed, what it ran ends within 2 s", function()
  lose_operator ""
end)

test("also a command that never reads the data it is sent", function()
  lose_operator "stdin = function() return ('x'):rep(100000) end,"
  lose_operator "stdin = ('x'):rep(10000000), size = 10000000,"
end)

test("no shell there is told with what was there", function()
  local connection = { exec = function()
    return local_transport.open({}):exec "echo This account is not available.; exit 1"
  end }
  local sh, message, code = shell.open(connection, { name = "web1" })
  check.equal({ sh, code }, { nil, "ECLOSED" })
  check.contains(message, "web1: no shell there")
  check.contains(message, "This account is not available.")
end)
