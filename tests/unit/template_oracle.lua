-- Jinja2 as Ansible runs it (Debian's ansible-core and python3-jinja2) renders
-- every case of tests/template, and kbrun must render the same text, or refuse
-- what Ansible refuses.
local test = ...
local check = require "lib.check"
local cases = require "template.cases"
local json = require "kb.json"
local proc = require "kb.core.proc"
local sys = require "kb.core.sys"
local task = require "kb.core.task"
local template = require "kb.template"

local folder = "tests/template"

local function ask_ansible(all)
  local p, io = check.ok(proc.spawn { argv = { "/usr/bin/python3", folder .. "/oracle.py" } })
  task.spawn(function()
    check.ok(io.stdin:write(json.encode(all)))
    io.stdin:close()
  end)
  local errors = task.spawn(function()
    local parts = {}
    for chunk in function() return (io.stderr:read()) end do parts[#parts + 1] = chunk end
    io.stderr:close()
    return table.concat(parts)
  end)
  local parts = {}
  for chunk in function() return (io.stdout:read()) end do parts[#parts + 1] = chunk end
  io.stdout:close()
  local complaint = errors:join()
  if p:wait() ~= 0 then
    error("the oracle needs the packages ansible-core and python3-jinja2: " .. complaint)
  end
  return check.ok(json.decode(table.concat(parts)))
end

local function render(case)
  local compiled, problem = template.compile(case.template, { loader = case.files })
  if not compiled then return nil, problem end
  return compiled:render(case.context)
end

local function compare(case, answer)
  local got, problem = render(case)
  local wanted = answer.text
  if got == wanted then return nil end
  return ("%s: %s\n    ansible: %s\n    kbrun:   %s"):format(case.at, case.template,
    wanted or answer.error, got or tostring(problem))
end

local function case_files()
  local files = {}
  for _, name in ipairs(check.ok(sys.list(folder))) do
    if name:find("%.cases$") then files[#files + 1] = folder .. "/" .. name end
  end
  table.sort(files)
  return files
end

test("templates render as with Ansible", function()
  local all = {}
  for _, path in ipairs(case_files()) do cases.read(path, all) end
  assert(#all > 500, "the cases were not found")
  local answers = ask_ansible(all)
  check.equal(#answers, #all)
  local different = {}
  for i, case in ipairs(all) do different[#different + 1] = compare(case, answers[i]) end
  if #different > 0 then
    error(("%d of %d differ:\n%s"):format(#different, #all, table.concat(different, "\n")), 0)
  end
  print(("# %d cases compared"):format(#all))
end)
