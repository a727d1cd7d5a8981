local test = ...
local check = require "lib.check"
local cli = require "kb.cli"
local help = require "kb.help"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"
local task = require "kb.core.task"
local term = require "kb.term"

local function kbrun(...)
  return program.run({ program.kbrun, ... })
end

test("without a command: the commands, on stderr, status 2", function()
  local r = kbrun()
  check.equal(r.status, 2)
  check.equal(r.out, "")
  check.contains(r.err, "usage: kbrun")
end)

test("help and version go to stdout, status 0", function()
  local ways = { { "--help" }, { "-h" }, { "help" }, { "help", "lua" }, { "lua", "-h" } }
  for _, words in ipairs(ways) do
    local r = kbrun(table.unpack(words))
    check.equal(r.status, 0)
    check.equal(r.err, "")
    check.contains(r.out, "usage: kbrun")
  end
  check.contains(kbrun("--version").out, "kbrun ")
end)

-- What a shell says of kbrun, "$0".
local function shell(text)
  return program.run { "sh", "-c", text, program.kbrun }
end

test("output that could not be written is an error; a reader that had enough is none", function()
  local r = shell('"$0" --version >/dev/full')
  check.equal(r.status, 70)
  check.contains(r.err, "not all could be written to standard output: the disk is full")
  r = shell('{ "$0" doc; echo "status $?" >&2; } | head -n 1')
  check.equal(r.err, "status 0\n")
end)

test("started without descriptors, what is printed goes into no file or socket", function()
  local dir <close> = scratch()
  local script, found = dir.path .. "/script.lua", dir.path .. "/found"
  check.ok(sys.write_file(script, [[
local sys = require "kb.core.sys"
local list = {}
for fd = 0, 2 do
  list[#list + 1] = sys.realpath("/proc/self/fd/" .. fd)
end
sys.write_file((...), table.concat(list, " "))
]]))
  local r = shell(('"$0" lua %s %s <&- >&- 2>&-'):format(script, found))
  check.equal(r.status, 0)
  check.equal(sys.read_file(found), "/dev/null /dev/null /dev/null")
end)

test("every command explains itself in its own words, within the width", function()
  for _, command in ipairs(cli.commands()) do
    for _, width in ipairs { 60, 80, 120 } do
      local text = help.command(command, cli.options(command), width)
      check.contains(text, "--help")
      for line in text:gmatch("[^\n]+") do
        local free = line:find("^usage:") or line:find("^%s") and not line:find("%S  +%S")
        check.ok(#line <= width or free, command.name .. ": too wide: " .. line)
      end
    end
  end
end)

test("options and commands of every table are complete and unambiguous", function()
  for _, command in ipairs(cli.commands()) do
    check.ok(command.summary and command.run, command.name)
    local seen = {}
    for _, option in ipairs(cli.options(command)) do
      check.ok(option.help, command.name .. " --" .. option.long .. " has no help")
      check.ok(not option.type or option.value, "--" .. option.long .. " has a type, but no value")
      for _, name in ipairs { "--" .. option.long, option.short and "-" .. option.short } do
        check.ok(not seen[name], ("%s: %s is there twice"):format(command.name, name))
        seen[name] = true
      end
    end
  end
end)

local refusals = {
  { { "luu", "x" }, 'there is no command luu; did you mean "lua"?' },
  { { "help", "luu" }, 'there is no command luu; did you mean "lua"?' },
  { { "lua" }, "FILE is missing" },
  { { "lua", "--helq" }, 'there is no option --helq; did you mean "--help"?' },
  { { "lua", "/no/such.lua" }, "/no/such.lua" },
}

for _, row in ipairs(refusals) do
  test("refused: kbrun " .. table.concat(row[1], " "), function()
    local r = kbrun(table.unpack(row[1]))
    check.equal(r.status, 2)
    check.equal(r.out, "")
    check.contains(r.err, row[2])
  end)
end

test("a script gets its arguments, options too, and gives the status", function()
  local dir = check.ok(sys.mkdtemp("/tmp/kbrun-test-"))
  local script = dir .. "/script.lua"
  check.ok(sys.write_file(script, 'print(...) return 7'))
  local r = kbrun("lua", script, "--help", "-x", "a")
  check.ok(sys.remove(script) and sys.remove(dir))
  check.equal(r.out, "--help\t-x\ta\n")
  check.equal(r.status, 7)
end)

test("a script that returns nothing is done", function()
  local r = program.run({ program.kbrun, "lua", "/dev/stdin" }, { input = "io.write('x')" })
  check.equal(r, { status = 0, out = "x", err = "" })
end)

test("no colour where there is no terminal", function()
  check.equal(kbrun("--help").out:find("\27"), nil)
end)

test("colour on a terminal, unless NO_COLOR says otherwise", function()
  local _ <close> = task.within(10)
  local argv = { "script", "-qec", program.kbrun .. " --help", "/dev/null" }
  local function output(no_color)
    return program.run(argv, { env = { TERM = "xterm", NO_COLOR = no_color } }).out
  end
  check.contains(output(""), "\27[1m")
  check.equal(output("1"):find("\27%["), nil)
end)

test("text from hosts cannot command the terminal", function()
  check.equal(term.clean("a\27[2Jb\7\r\nc\td\rx\0"), "a\\x1b[2Jb\\x07\nc\td\\x0dx\\x00")
  check.equal(term.clean("größer ✓"), "größer ✓")
  check.equal(term.clean("\xC2\x9B2J"), "\\u{9b}2J")
  check.equal(term.clean("\xff\xfe ok"), "\\xff\\xfe ok")
end)

test("text is wrapped at spaces, never inside a word", function()
  check.equal(term.wrap("one two three\nfour", 8), { "one two", "three", "four" })
  check.equal(term.wrap("unbreakable word", 5), { "unbreakable", "word" })
  check.equal(term.wrap("  kept as it is\n\nx", 6), { "  kept as it is", "", "x" })
end)
