-- What the guides show works: their playbooks are checked, with their inventories, templates and
-- modules beside them. A block's first line names the file that it is.
local test = ...
local check = require "lib.check"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"
local tree = require "lib.tree"

local base = "all: {vars: {people: [ada]}}\nweb: {hosts: {w1: }}\n"
  .. "masters: {hosts: {m0: , m1: }}\n"

-- The named blocks of a guide, and unnamed templates under the name that a playbook gives them.
local function files_of(guide)
  local files, source = { { name = "base.yaml", text = base } }, tree.text(guide)
  for language, text in source:gmatch("\n```(%l+)\n(.-)```") do
    local name = text:match("^%-%- ([%w_/]+%.lua)") or text:match("^# ([%w_/]+%.yaml)")
    if language == "jinja" then
      name = "templates/index.html.j2"
    end
    files[#files + 1] = name and { name = name, text = text }
  end
  files[#files + 1] = { name = "inventory.yaml", text = "{}\n" }
  files[#files + 1] = { name = "templates/site.conf.j2", text = "{{ people | length }}\n" }
  return files
end

for _, guide in ipairs { "docs/playbooks.md", "docs/modules.md", "docs/ansible.md",
  "docs/tutorial.md" } do
  test("the playbooks in " .. guide .. " are without mistakes", function()
    local dir <close> = scratch()
    local playbooks = 0
    check.ok(sys.mkdir(dir.path .. "/templates"))
    check.ok(sys.mkdir(dir.path .. "/modules"))
    for _, file in ipairs(files_of(guide)) do -- the guide's own inventory wins
      local path = dir.path .. "/" .. file.name
      check.ok(sys.stat(path) or sys.write_file(path, file.text, 420))
    end
    for _, file in ipairs(files_of(guide)) do
      if file.name:find("^[^/]+%.lua$") then
        playbooks = playbooks + 1
        local r = program.run { program.kbrun, "check", dir.path .. "/" .. file.name, "-i",
          dir.path .. "/base.yaml", "-i", dir.path .. "/inventory.yaml" }
        check.equal({ file.name, r.status, r.err }, { file.name, 0, "" })
      end
    end
    check.ok(playbooks > 0, "it shows a playbook")
  end)
end
