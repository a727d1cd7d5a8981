--- kbrun inventory: what hosts there are.
local common = require "kb.command.common"
local inventory = require "kb.inventory"
local json = require "kb.json"
local report = require "kb.inventory.report"
local suggest = require "kb.suggest"

local sources = { group = common.inventory.group, common.inventory[1] }

local function write_json(value)
  io.write(json.encode(value, { indent = 4, sort = true, other = tostring }), "\n")
  return common.exit.done
end

local function show_host(inv, name, with_secrets)
  if not inv:has(name) then
    return nil, ("there is no host %q%s"):format(name, suggest.hint(name, inv:hosts()))
  end
  return write_json(report.host(inv, name, with_secrets))
end

local function show_graph(inv, group)
  local text = report.graph(inv, group)
  if not text then
    return nil, ("there is no group %q%s"):format(group, suggest.hint(group, inv:group_names()))
  end
  io.write(text, "\n")
  return common.exit.done
end

local function show_names(inv, pattern)
  local names, message = inv:match(pattern)
  if not names then return nil, message end
  for _, name in ipairs(names) do io.write(name, "\n") end
  return common.exit.done
end

local function run(options, args)
  local asked = (options.list and 1 or 0) + (options.graph and 1 or 0) + (options.host and 1 or 0)
  if asked > 1 then return nil, "--list, --graph and --host exclude each other" end
  if args[1] and (options.list or options.host) then
    return nil, "a pattern does not go with --list and --host"
  end
  local paths, message = inventory.sources(options.inventory)
  if not paths then return nil, message end
  local inv
  inv, message = inventory.load(paths, { playbook_dir = options.playbook_dir })
  if not inv then return nil, message end
  if not options.quiet then
    for _, warning in ipairs(inv:warnings()) do io.stderr:write(report.warning(warning), "\n") end
  end
  if options.list then return write_json(report.list(inv, options.show_secrets)) end
  if options.host then return show_host(inv, options.host, options.show_secrets) end
  if options.graph then return show_graph(inv, args[1] or "all") end
  return show_names(inv, args[1] or "all")
end

return {
  name = "inventory",
  summary = "show the hosts, groups and variables of the inventory",
  description = [[
Without an option it prints the names of the hosts that match the pattern, one a line: all of
them if there is no pattern. The JSON of --list has the shape of `ansible-inventory --list`.
No host is contacted. What is odd in the files is said on standard error.]],
  arguments = {
    { name = "PATTERN", optional = true,
      help = "which hosts, such as masters:!m2; with --graph a group to begin with" },
  },
  options = common.options(sources, {
    { long = "list", help = "print groups and all variables as JSON" },
    { long = "graph", help = "draw groups and hosts as a tree" },
    { long = "host", value = "NAME", help = "print the merged variables of one host as JSON" },
    { long = "show-secrets", help = "print passwords instead of ***" },
    { long = "playbook-dir", value = "DIR",
      help = "count group_vars and host_vars of this directory too, as a playbook there would" },
    { long = "quiet", short = "q", help = "leave out warnings" },
  }),
  run = run,
}
