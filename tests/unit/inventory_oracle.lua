-- Debian's ansible-core reads every inventory of tests/inventory, and so do we:
-- the same groups, members and variables must come out, and the same hosts of
-- every pattern.
local test = ...
local check = require "lib.check"
local program = require "lib.program"
local data = require "kb.data"
local json = require "kb.json"
local inventory = require "kb.inventory"
local report = require "kb.inventory.report"

local dir = "tests/inventory/"

local corpus = { { "plain.yml" }, { "nested.yml" }, { "ranges.yml" }, { "priorities.yml" },
  { "ungrouped.yml" }, { "repeated.yml" }, { "anchors.yml" }, { "json.json" },
  { "groupvars/hosts.yml" }, { "kubespray/hosts.yaml" }, { "plain.ini" }, { "kubespray.ini" },
  { "directory" }, { "first.yml", "second.yml" }, { "second.yml", "first.yml" },
  { "groupvars/hosts.yml", "nested.yml" } }

local environment = { ANSIBLE_CONFIG = dir .. "ansible.cfg", ANSIBLE_NOCOLOR = "1",
  LC_ALL = "C.UTF-8" }

local function ansible(paths)
  local argv = { "ansible-inventory", "--list" }
  for _, path in ipairs(paths) do
    argv[#argv + 1] = "-i"
    argv[#argv + 1] = dir .. path
  end
  local result = program.run(argv, { env = environment })
  check.equal(result.status, 0, result.err)
  return (check.ok(json.decode(result.out, { name = "ansible-inventory" })))
end

local function ours(paths)
  local full = {}
  for i, path in ipairs(paths) do full[i] = dir .. path end
  return (check.ok(inventory.load(full)))
end

-- Where two values differ, as paths; whole numbers and floats are kept apart.
local function differences(got, want, path, found)
  local kind = data.kind(got)
  if kind ~= data.kind(want) or kind ~= "map" and kind ~= "list" then
    if got ~= want or math.type(got) ~= math.type(want) then
      found[#found + 1] = ("%s: kbrun has %s, ansible %s"):format(path, json.encode(got),
        json.encode(want))
    end
    return found
  end
  local keys = {}
  for key in data.pairs(got) do keys[key] = true end
  for key in data.pairs(want) do keys[key] = true end
  for key in pairs(keys) do
    local a, b = got[key], want[key]
    if a == nil or b == nil then
      found[#found + 1] = ("%s.%s: only %s has it"):format(path, key,
        a == nil and "ansible" or "kbrun")
    else
      differences(a, b, path .. "." .. key, found)
    end
  end
  return found
end

for _, paths in ipairs(corpus) do
  test("as ansible-inventory: " .. table.concat(paths, " and "), function()
    local found = differences(report.list(ours(paths), true), ansible(paths), "", {})
    table.sort(found)
    check.equal(table.concat(found, "\n"), "")
  end)
end

test("the comparison notices what differs", function()
  local list = report.list(ours { "plain.yml" }, true)
  local other = data.copy(list)
  other._meta.hostvars.a0.octal = 644
  other.extra = data.map()
  check.equal(#differences(list, other, "", {}), 2)
end)

test("as ansible-inventory --graph", function()
  for _, path in ipairs { "nested.yml", "groupvars/hosts.yml" } do
    local result = program.run({ "ansible-inventory", "--graph", "-i", dir .. path },
      { env = environment })
    check.equal(report.graph(ours { path }) .. "\n", result.out)
  end
end)

-- The hosts of many patterns from one process.
local script = [[
import sys, json
from ansible.parsing.dataloader import DataLoader
from ansible.inventory.manager import InventoryManager
answers = []
for path, patterns in json.load(sys.stdin):
    inventory = InventoryManager(loader=DataLoader(), sources=[path])
    row = []
    for pattern in patterns:
        try: row.append([h.name for h in inventory.get_hosts(pattern)])
        except Exception: row.append(None)
    answers.append(row)
print(json.dumps(answers))
]]

local questions = {
  { "kubespray/hosts.yaml", { "all", "*", "node1", "etcd", "kube_node", "etcd:kube_node", "node*",
    "kube_node,bastion", "kube_node:!etcd", "kube_node:&etcd", "!etcd", "&etcd", "node[!1]",
    "node?", "etcd[0]", "etcd[-1]", "etcd[1:]", "etcd[0:1]", "etcd[1:5]", "kube_node[0:2]",
    "~node[12]", "~(node1|bast)", "~n.*3$", "etcd:&kube_control_plane:!node1", "!node1:etcd",
    "kube_*", "kube_c*:!node1", "ungrouped", "bastion:node3", "node1:node1", "kube-master" } },
  { "nested.yml", { "top", "middle:right", "deep", "left:&middle", "h*", "d0:h1", "top:!deep",
    "~h[01]", "middle[0]", "top[-1]", "top[1:2]", "right[0]:!d0" } },
  { "ranges.yml", { "web0?.example.org", "web0[1-3].example.org", "*.example.org",
    "rack1-node*", "db-[ab]", "fe80::1", "2001:db8::5", "web:!rack*", "~rack\\d-node0[89]" } },
}

test("patterns name the same hosts as Ansible's", function()
  local input = data.list {}
  for i, question in ipairs(questions) do
    input[i] = { dir .. question[1], data.list(question[2]) }
  end
  local result = program.run({ "/usr/bin/python3", "-c", script },
    { input = json.encode(input), env = environment })
  check.equal(result.status, 0, result.err)
  local answers, found = json.decode(result.out), {}
  for i, question in ipairs(questions) do
    local inv = ours { question[1] }
    for k, pattern in ipairs(question[2]) do
      local names, message = inv:match(pattern)
      local want = answers[i][k]
      local got = names and table.concat(names, " ") or message
      want = want ~= data.null and table.concat(want, " ") or "an error"
      if got ~= want then found[#found + 1] = ("%s: %s, ansible: %s"):format(pattern, got, want) end
    end
  end
  check.equal(table.concat(found, "\n"), "")
end)
