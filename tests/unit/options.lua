local test = ...
local check = require "lib.check"
local options = require "kb.options"

local table_of = {
  { long = "inventory", short = "i", value = "FILE", list = true, help = "hosts" },
  { long = "forks", short = "f", value = "N", type = "integer", min = 1, max = 500, default = 50,
    help = "at a time" },
  { long = "dry-run", short = "n", help = "change nothing" },
  { long = "verbose", short = "v", count = true, help = "say more" },
  { long = "timeout", value = "TIME", type = "duration", help = "give up" },
  { long = "ratio", value = "R", type = "number", help = "a part" },
  { long = "format", value = "F", choices = { "text", "json" }, default = "text", help = "how" },
}

local function parse(line, list)
  local words = {}
  for word in line:gmatch("%S+") do
    words[#words + 1] = word
  end
  return options.parse(list or table_of, words)
end

test("options stand before, between and after arguments", function()
  local values, args = parse("-n one --forks 3 two -i a --inventory=b")
  check.equal(args, { "one", "two" })
  check.equal(values, { dry_run = true, forks = 3, inventory = { "a", "b" }, verbose = 0,
    format = "text" })
end)

test("short options bundle, and take values joined or apart", function()
  check.equal(parse("-vvn -vf7 -ia -i b"),
    { verbose = 3, dry_run = true, forks = 7, inventory = { "a", "b" }, format = "text" })
end)

test("-- ends the options and tells where", function()
  local values, args = parse("web -n -- ls -la --forks -- x")
  check.equal(values.dry_run, true)
  check.equal(args, { "web", "ls", "-la", "--forks", "--", "x", before_dashes = 1 })
end)

test("a lone dash is an argument, and values may begin with dashes", function()
  local values, args = parse("- --timeout=5 -i -x")
  check.equal(args, { "-" })
  check.equal(values.inventory, { "-x" })
end)

test("defaults, empty lists, and what is not given is absent", function()
  check.equal(parse(""), { inventory = {}, forks = 50, verbose = 0, format = "text" })
end)

local refusals = {
  { "--dryrun", 'there is no option --dryrun; did you mean "--dry-run"?' },
  { "--xyzzy", "there is no option --xyzzy" },
  { "-nz", "there is no option -z in -nz" },
  { "--forks", "--forks needs a value: --forks N" },
  { "-f", "-f needs a value: -f N" },
  { "--forks=many", '--forks wants a whole number, not "many"' },
  { "-f 2.5", '-f wants a whole number, not "2.5"' },
  { "--forks=0", '--forks wants at least 1, not "0"' },
  { "--forks=501", '--forks wants at most 500, not "501"' },
  { "--forks=99999999999999999999", '--forks wants a whole number, not "99999999999999999999"' },
  { "--ratio=nan", '--ratio wants a number, not "nan"' },
  { "--dry-run=yes", "--dry-run takes no value" },
  { "--timeout=soon", "--timeout wants a time such as 90, 30s, 5m or 1m30s" },
  { "--format xml", '--format wants one of text, json, not "xml"' },
}

for _, row in ipairs(refusals) do
  test("refused: " .. row[1], function()
    local values, message = parse(row[1])
    check.equal(values, nil)
    check.contains(message, row[2])
  end)
end

test("a required option is asked for, except beside --help", function()
  local list = { { long = "out", value = "FILE", required = true, help = "where to" },
    { long = "help", help = "explain" } }
  local values, message = parse("", list)
  check.equal(values, nil)
  check.equal(message, "--out is required")
  check.equal(parse("--help", list), { help = true })
end)

test("lengths of time", function()
  local cases = {
    ["90"] = 90, ["0.5"] = 0.5, ["30s"] = 30, ["1m30s"] = 90, ["2h"] = 7200, ["1d"] = 86400,
  }
  for text, seconds in pairs(cases) do
    check.equal(options.seconds(text) == seconds, true, text)
  end
  for _, text in ipairs { "", "s", "5x", "1m30", "-5", "1..2s", "nan", "0x10" } do
    check.equal(options.seconds(text), nil, text)
  end
end)

test("the first argument is found behind options and their values", function()
  check.equal(options.first_argument(table_of, { "-n", "--forks", "3", "exec", "x" }), 4)
  check.equal(options.first_argument(table_of, { "--forks=3", "exec" }), 2)
  check.equal(options.first_argument(table_of, { "-n" }), nil)
end)
