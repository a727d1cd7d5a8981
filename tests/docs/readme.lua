-- What the readme says is so.
local test = ...
local check = require "lib.check"
local tree = require "lib.tree"

test("the playbook in the readme is playbooks/hello.lua", function()
  local shown = tree.text("README.md"):match("```lua\n(.-)```")
  check.equal(shown, tree.text("playbooks/hello.lua"))
end)

-- The packages of a group in tests/lib/packages.
local function group(name)
  local set = {}
  for words in tree.text("tests/lib/packages"):gmatch("\n" .. name .. " +([^\n]+)") do
    for word in words:gmatch("%S+") do
      set[word] = true
    end
  end
  return set
end

test("the packages that the readme builds with are those that tests/all installs", function()
  local build, findings = group("build"), {}
  local line = tree.text("README.md"):match("apt%-get install (.-)\n    cmake")
  for word in line:gsub("[\\\n]", " "):gmatch("%S+") do
    if not word:find("^%-") and not build[word] then
      findings[#findings + 1] = word .. " is not in the group build of tests/lib/packages"
    end
  end
  tree.none(findings)
end)

test("every library that is linked is among what kbrun stands on", function()
  local findings, readme = {}, tree.text("README.md"):lower()
  local modules = tree.text("CMakeLists.txt"):match("IMPORTED_TARGET%s+(.-)%)")
  local called = { ["lua5.4"] = "| lua 5.4 |", libcrypto = "| openssl |", libzstd = "| zstd |",
    ["yaml-0.1"] = "| libyaml |" }
  for name in modules:gmatch("%S+") do
    name = name:gsub(">=.*$", "")
    if not readme:find(called[name] or "| " .. name .. " |", 1, true) then
      findings[#findings + 1] = "the readme does not say what " .. name .. " is for"
    end
  end
  tree.none(findings)
end)
