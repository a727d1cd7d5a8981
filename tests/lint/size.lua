-- Functions fit a screen, files fit a head, lines fit a window.
local test = ...
local tree = require "lib.tree"

local longest = 60 -- lines of a function, from its first to its last

-- Functions of formatted C begin and end in the first column.
local function c_functions(path, found)
  local name, first
  for n, line in tree.lines(path) do
    if not first and line:find("^[%a].*[%)%w_] {$") and line:find("%(") then
      name, first = line:match("([%w_]+)%("), n
    elseif line == "}" and first then
      found[#found + 1] = { at = path .. ":" .. first, name = name, lines = n - first + 1 }
      first = nil
    elseif line:find("^};") then
      first = nil
    end
  end
end

-- A function of Lua ends at the first line that begins with `end` and is
-- indented like the line that begins it. The innermost are found, and those
-- around them.
local function lua_functions(path, found)
  local open = {}
  for n, line in tree.lines(path) do
    local indent = #line:match("^%s*")
    local top = open[#open]
    if top and indent == top.indent and line:find("^%s*end%f[%W]") then
      local lines = n - top.first + 1
      found[#found + 1] = { at = path .. ":" .. top.first, name = top.text, lines = lines }
      open[#open] = nil
    end
    if line:find("%f[%w_]function%f[^%w_]") and line:find("function[%s%w_.:]*%([^()]*%)%s*$") then
      open[#open + 1] = { indent = indent, first = n, text = line:match("^%s*(.-)%s*$") }
    end
  end
end

test("no function is longer than a screen", function()
  local functions, findings = {}, {}
  for _, path in ipairs(tree.files("%.c$")) do
    c_functions(path, functions)
  end
  for _, path in ipairs(tree.files("%.lua$")) do
    lua_functions(path, functions)
  end
  assert(#functions > 100, "the functions were not found")
  for _, f in ipairs(functions) do
    if f.lines > longest then
      findings[#findings + 1] = ("%s: %s has %d lines, more than %d"):format(f.at, f.name, f.lines,
        longest)
    end
  end
  tree.none(findings)
end)

local limits = {
  { "^engine/.*%.c$", 600 }, { "^engine/.*%.h$", 120 }, { "^lua/.*%.lua$", 400 },
  { "^modules/.*/cases%.lua$", math.huge }, -- data
  { "^modules/.*%.lua$", 400 }, { "^playbooks/.*%.lua$", 400 }, { "^tests/.*%.lua$", 600 },
}

test("no file is too long", function()
  local findings = {}
  for _, path in ipairs(tree.files("%.[clh]u?a?$")) do
    for _, limit in ipairs(limits) do
      if path:find(limit[1]) then
        local _, lines = tree.text(path):gsub("\n", "")
        if lines > limit[2] then
          findings[#findings + 1] = ("%s has %d lines, more than %d"):format(path, lines, limit[2])
        end
        break
      end
    end
  end
  tree.none(findings)
end)

test("C has lines of at most 80 columns, and no line ends in a space", function()
  local findings = {}
  for _, path in ipairs(tree.files()) do
    local is_c = path:find("%.[ch]$")
    if is_c or path:find("%.lua$") or path:find("%.sh$") then
      for n, line in tree.lines(path) do
        if is_c and (utf8.len(line) or #line) > 80 then
          findings[#findings + 1] = ("%s:%d: more than 80 columns"):format(path, n)
        elseif line:find("%s$") then
          findings[#findings + 1] = ("%s:%d: ends in a space"):format(path, n)
        end
      end
    end
  end
  tree.none(findings)
end)
