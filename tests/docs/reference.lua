-- docs/reference is what the comments in the sources make of it.
local test = ...
local check = require "lib.check"
local program = require "lib.program"
local sys = require "kb.core.sys"
local tree = require "lib.tree"

test("writing docs/reference again changes nothing", function()
  local dir = check.ok(sys.mkdtemp("/tmp/kbrun-docs-"))
  local made = program.run { "sh", "-c", '"$1" doc --markdown "$2" playbooks/*.lua', "sh",
    program.kbrun, dir }
  local r = program.run { "diff", "-ru", "docs/reference", dir }
  program.run { "rm", "-r", dir }
  check.equal(made.status, 0)
  if r.status ~= 0 then
    error("docs/reference is old; run: cmake --build build --target reference\n" .. r.out .. r.err)
  end
end)

test("every page that a page points to is there", function()
  local findings = {}
  for _, path in ipairs(tree.files("%.md$")) do
    local dir = path:match("^(.*/)") or ""
    for target in tree.text(path):gmatch("%]%(([^)#]+)") do
      if not target:find("^https?:") and not sys.stat(dir .. target) then
        findings[#findings + 1] = path .. " points to " .. target
      end
    end
  end
  tree.none(findings)
end)
