--- kbrun check: find mistakes in playbooks without connecting to anything.
local common = require "kb.command.common"
local extra_vars = require "kb.command.extra_vars"
local kb_check = require "kb.check"
local inventory = require "kb.inventory"
local json = require "kb.json"

local function show(findings)
  for _, f in ipairs(findings) do
    io.stderr:write(kb_check.line(f))
  end
end

local function run(opts, args)
  local inv
  if inventory.sources(opts.inventory) then
    local message
    inv, message = inventory.load(inventory.sources(opts.inventory))
    if not inv then
      return nil, message
    end
  end
  local findings = kb_check.check(args, { inventory = inv, extra_vars = extra_vars(opts.extra) })
  if opts.json then
    io.write(json.encode(findings), "\n")
  else
    show(findings)
  end
  return #findings == 0 and common.exit.done or common.exit.usage
end

return {
  name = "check",
  summary = "find mistakes in playbooks, without connecting",
  description = [[
Reads the playbooks and, with an inventory, its variables: syntax, names that are not defined,
hosts, arguments of operations, facts, files and templates that are not there, variables that a host
does not have. Exits with 2 when there is a finding. Every run checks so first.]],
  arguments = {
    { name = "PLAYBOOK", list = true, help = "a playbook: a Lua file that declares plays" },
  },
  options = common.options(common.only(common.inventory, "inventory"), {
    { long = "extra", short = "e", value = "NAME=VALUE", list = true,
      help = "a variable that a run will be given; @FILE reads many from YAML" },
  }, common.only(common.output, "json", "no-color")),
  run = run,
}
