-- Print how much of our Lua the tests ran: kbrun lua tests/coverage_report.lua FILE
-- The lines that could run are those for which luac makes instructions.
local path = ...
local program = require "lib.program"
local sys = require "kb.core.sys"
local tree = require "lib.tree"

local function ran_lines()
  local ran = {}
  for _, line in tree.lines(path) do
    local module, numbers = line:match("^(%S+)(.*)$")
    ran[module] = ran[module] or {}
    for n in numbers:gmatch("%d+") do
      ran[module][math.tointeger(n)] = true
    end
  end
  return ran
end

-- Lines that only close something have instructions, but nothing to test.
local function says_something(line)
  return line:find("%w") and not line:find("^%s*end%W*$") and not line:find("^%s*else%s*$")
end

local function possible_lines(file)
  local listing = program.run { "luac5.4", "-l", "-l", "-p", file }
  assert(listing.status == 0, listing.err)
  local texts, possible = {}, {}
  for n, line in tree.lines(file) do
    texts[n] = line
  end
  for n in listing.out:gmatch("\n\t%d+\t%[(%d+)%]\t") do
    n = math.tointeger(n)
    possible[n] = says_something(texts[n]) or nil
  end
  return possible
end

local function module_name(file)
  return (file:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", "."))
end

local function percent(part, whole)
  return whole == 0 and 100 or 100 * part / whole
end

assert(sys.stat(path), "no lines were counted: " .. path)
local ran, all, all_hit = ran_lines(), 0, 0
print(("%-44s %7s %7s %6s"):format("Lua", "lines", "run", "%"))
for _, file in ipairs(tree.files("^[lm][%w]+/.*%.lua$")) do
  if not file:find("/cases%.lua$") then
    local count, hit, lines = 0, 0, ran[module_name(file)] or {}
    for n in pairs(possible_lines(file)) do
      count, hit = count + 1, hit + (lines[n] and 1 or 0)
    end
    all, all_hit = all + count, all_hit + hit
    print(("%-44s %7d %7d %5.1f%%"):format(file, count, hit, percent(hit, count)))
  end
end
print(("%-44s %7d %7d %5.1f%%"):format("TOTAL", all, all_hit, percent(all_hit, all)))
