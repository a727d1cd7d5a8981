--- kbrun explain: where a variable's value comes from.
local common = require "kb.command.common"
local data = require "kb.data"
local inventory = require "kb.inventory"
local json = require "kb.json"
local suggest = require "kb.suggest"

local sources = { group = common.inventory.group, common.inventory[1] }

local function place(entry)
  if not entry.line then return entry.file end
  return ("%s:%d:%d"):format(entry.file, entry.line, entry.column)
end

local function value_text(variable, entry)
  return json.encode(inventory.shown(variable, entry.value), { other = tostring, lossy = true })
end

-- For whom the definition wins: names while they are few.
local function winners(entry, host)
  if #entry.hosts == 0 then return "" end
  if host then return "  <- wins" end
  local shown = table.concat(entry.hosts, ", ", 1, math.min(#entry.hosts, 4))
  return ("  <- wins for %s%s"):format(shown,
    #entry.hosts > 4 and (" and %d more"):format(#entry.hosts - 4) or "")
end

local function write_text(variable, entries, host)
  local wide_place, wide_owner = 0, 0
  for _, entry in ipairs(entries) do
    wide_place = math.max(wide_place, #place(entry))
    wide_owner = math.max(wide_owner, #entry.owner)
  end
  io.write(variable, host and " for " .. host or "", ", the weakest definition first:\n")
  local format = ("  %%-%ds  %%-%ds  %%s%%s\n"):format(wide_place, wide_owner)
  for _, entry in ipairs(entries) do
    io.write(format:format(place(entry), entry.owner, value_text(variable, entry),
      winners(entry, host)))
  end
end

local function write_json(variable, entries)
  local list = data.list {}
  for i, entry in ipairs(entries) do
    list[i] = data.map {
      { "owner", entry.owner }, { "level", entry.level }, { "file", entry.file },
      { "line", entry.line }, { "column", entry.column },
      { "value", inventory.shown(variable, entry.value) }, { "wins_for", entry.hosts },
    }
  end
  io.write(json.encode(list, { indent = 2, other = tostring, lossy = true }), "\n")
end

local function run(options, args)
  local variable, host = args[1], args[2]
  local paths, message = inventory.sources(options.inventory)
  if not paths then return nil, message end
  local inv
  inv, message = inventory.load(paths, { playbook_dir = options.playbook_dir })
  if not inv then return nil, message end
  if host and not inv:has(host) then
    return nil, ("there is no host %q%s"):format(host, suggest.hint(host, inv:hosts()))
  end
  local entries = inv:explain(variable, host)
  if #entries == 0 then
    return nil, ("nothing defines %s%s%s"):format(variable, host and " for " .. host or "",
      suggest.hint(variable, inv:variable_names()))
  end
  if options.json then
    write_json(variable, entries)
  else
    write_text(variable, entries, host)
  end
  return common.exit.done
end

return {
  name = "explain",
  summary = "show every definition of a variable, and which one wins",
  description = [[
Every place that defines the variable is named with file, line and column, the weakest first, and
for which hosts it wins. Templates are shown as they are written.]],
  arguments = {
    { name = "VARIABLE", help = "its name" },
    { name = "HOST", optional = true, help = "only what counts for this host" },
  },
  options = common.options(sources, {
    { long = "json", help = "print JSON, for programs" },
    { long = "playbook-dir", value = "DIR",
      help = "count group_vars and host_vars of this directory too, as a playbook there would" },
  }),
  run = run,
}
