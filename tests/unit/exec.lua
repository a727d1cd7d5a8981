local test = ...
local check = require "lib.check"
local json = require "kb.json"
local program = require "lib.program"
local proc = require "kb.core.proc"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local function kbrun(...)
  return program.run({ program.kbrun, ... }, { env = { NO_COLOR = "1" } })
end

test("exec prints lines behind names, and errors to standard error", function()
  local r = kbrun("exec", "-H", "local", "--", "echo one; printf two; echo bad >&2")
  check.equal({ r.status, r.out, r.err }, { 0, "local | one\nlocal | two\n", "local | bad\n" })
end)

test("several words are a command and its arguments, exactly", function()
  local r = kbrun("exec", "-H", "local", "--", "echo", "a  b", "$HOME")
  check.equal(r.out, "local | a  b $HOME\n")
end)

test("the exit status tells failed from unreachable", function()
  check.equal(kbrun("exec", "-H", "local", "--", "true").status, 0)
  local r = kbrun("exec", "-H", "local", "--", "exit 7")
  check.equal({ r.status, r.err }, { 4, "local: exit status 7\n" })
  r = kbrun("exec", "-H", "local", "--", "kill -9 $$")
  check.equal({ r.status, r.err }, { 4, "local: killed by signal KILL\n" })
  r = kbrun("exec", "-H", "local", "--", "exit 130")
  check.equal({ r.status, r.err }, { 4, "local: exit status 130\n" })
  r = kbrun("exec", "-H", "local,127.0.0.1:1", "--", "true")
  check.equal(r.status, 3)
  check.contains(r.err, "127.0.0.1:1: ")
  check.contains(r.err, "connect")
end)

test("an error says once which host it is of", function()
  for list, said in pairs { ["ops@127.0.0.1:1"] = "ops@127.0.0.1:1: connect: Connection refused\n",
    ["[::1]:1"] = "[::1]:1: connect: " } do
    check.equal(kbrun("exec", "-H", list, "--", "true").err:sub(1, #said), said)
  end
  local dir <close> = scratch()
  check.ok(sys.write_file(dir.path .. "/hosts.yaml",
    "all: {hosts: {web1: {ansible_host: 127.0.0.1, ansible_port: 1}}}"))
  check.equal(kbrun("exec", "-i", dir.path .. "/hosts.yaml", "all", "--", "true").err,
    "web1: 127.0.0.1:1: connect: Connection refused\n")
end)

test("what the command line lacks is said before anything is done", function()
  for _, args in ipairs {
    { "exec" }, { "exec", "-H", "local" }, { "exec", "-H", "a:b:c", "--", "x" },
    { "exec", "-H", "local", "all", "--", "x" }, { "copy", "-H", "local", "one" },
    { "copy", "-H", "local", "/nowhere", "/tmp" },
    { "copy", "-H", "local", "--mode", "9", "a", "b" },
  } do
    local r = kbrun(table.unpack(args))
    check.equal({ r.status, r.out }, { 2, "" })
    check.contains(r.err, "kbrun " .. args[1] .. ": ")
  end
end)

test("equal outputs are printed once", function()
  local r = kbrun("exec", "-g", "-H", "local,local", "--", "echo same")
  check.equal(r.out, "local,local (2)\nsame\n")
end)

test("control bytes of hosts do not reach the terminal", function()
  local r = kbrun("exec", "-H", "local", "--", "printf '\\033[2Jx\\n'")
  check.equal(r.out, "local | \\x1b[2Jx\n")
end)

test("JSON has one object per host", function()
  local r = kbrun("exec", "--json", "-H", "local,127.0.0.1:1", "--", "echo x; exit 3")
  local hosts = {}
  for line in r.out:gmatch "[^\n]+" do
    local value = check.ok(json.decode(line))
    hosts[value.host] = value
  end
  check.equal({ hosts["local"].code, hosts["local"].out }, { 3, "x\n" })
  check.equal(hosts["127.0.0.1:1"].kind, "unreachable")
  check.equal(r.err, "")
end)

test("copy puts, says what is there already, and fetches", function()
  local dir = check.ok(sys.mkdtemp "/tmp/kbrun-copy.")
  local _ <close> = setmetatable({}, { __close = function()
    program.run { "rm", "-rf", dir }
  end })
  check.ok(sys.write_file(dir .. "/from", "text"))
  check.ok(sys.mkdir(dir .. "/to"))
  local r = kbrun("copy", "-H", "local", "--mode", "0640", dir .. "/from", dir .. "/to/")
  check.equal({ r.status, r.out, r.err }, { 0, "local: 4 bytes\n", "" })
  check.equal(sys.read_file(dir .. "/to/from"), "text")
  check.equal(sys.stat(dir .. "/to/from").mode, 416)
  r = kbrun("copy", "-H", "local", dir .. "/from", dir .. "/to/from")
  check.equal(r.out, "local: the same already\n")
  r = kbrun("copy", "-H", "local", dir .. "/to", dir .. "/tree")
  check.equal({ r.status, sys.read_file(dir .. "/tree/from") }, { 0, "text" })
  r = kbrun("copy", "-H", "local", "--fetch", dir .. "/from", dir .. "/got")
  check.equal({ r.status, sys.read_file(dir .. "/got/local") }, { 0, "text" })
  r = kbrun("copy", "-H", "local", dir .. "/from", dir .. "/no/where")
  check.equal(r.status, 4)
  check.contains(r.err, "there is no directory")
end)

test("copy takes hosts and path in one word, as scp does", function()
  local dir = check.ok(sys.mkdtemp "/tmp/kbrun-copy.")
  local _ <close> = setmetatable({}, { __close = function()
    program.run { "rm", "-rf", dir }
  end })
  local inventory = dir .. "/hosts.yaml"
  check.ok(sys.write_file(inventory, [[
all: { vars: { ansible_connection: local }, hosts: { web1: {}, web2: {}, db1: {} } }
]]))
  check.ok(sys.write_file(dir .. "/from", "text"))
  local r = kbrun("copy", "-i", inventory, "all:!db1:" .. dir .. "/from", dir .. "/got")
  check.equal({ r.status, r.err }, { 0, "" })
  check.equal(sys.list(dir .. "/got"), { "web1", "web2" })
  check.equal(sys.read_file(dir .. "/got/web2"), "text")
  r = kbrun("copy", "-i", inventory, dir .. "/from", "db1:" .. dir .. "/to")
  check.equal({ r.status, r.out, r.err }, { 0, "db1: 4 bytes\n", "" })
  check.equal(sys.read_file(dir .. "/to"), "text")
  for _, words in ipairs { { "web1:/a", "web2:/b" }, { "web1", "/b" }, { "a", "web1:b" },
    { "--fetch", "/a", "web1:/b" } } do
    r = kbrun("copy", "-i", inventory, table.unpack(words))
    check.equal({ r.status, r.out }, { 2, "" })
  end
end)

test("Ctrl-C ends what runs on the hosts within 2 s", function()
  local process, pipes = check.ok(proc.spawn {
    argv = { program.kbrun, "exec", "-H", "local,local", "--",
      "sh -c 'sleep 300 & echo $!; wait'" },
  })
  local said = ""
  do
    local _ <close> = task.within(5)
    while not said:match "%d+\n.-%d+\n" do
      said = said .. check.ok(pipes.stdout:read())
    end
  end
  check.ok(process:kill(2))
  local started = task.now()
  check.equal(process:wait(), 5)
  for pid in said:gmatch "| (%d+)" do
    while sys.stat("/proc/" .. pid) do
      check.equal(task.now() - started < 2, true, "still there after")
      task.sleep(0.01)
    end
  end
  for _, stream in pairs(pipes) do
    stream:close()
  end
end)

test("a line without an end is shown in time", function()
  local started = task.now()
  local r = program.run { program.kbrun, "exec", "--host", "local",
    "head -c 2000000 /dev/zero | tr '\\0' a" }
  check.equal(r.status, 0)
  check.equal(select(2, r.out:gsub("a", "")), 2000000 + select(2, r.out:gsub("local", "")))
  check.ok(task.now() - started < 10, "seconds, not minutes")
end)
