-- Functions with named parameters: filters, tests and methods are kept in
-- registries of them, so that wrong arguments are errors and not ignored.
local values = require "kb.template.values"

local M = {}

--- Put a function into a registry.
-- @param registry table
-- @param names string: its names, separated by spaces
-- @param parameters string: after the value itself, separated by spaces; `x?`
--   may be left out; `*` at the end: any number more; `**`: also any names,
--   then the function gets (value, named, ...)
-- @param call function(value, ...): what was left out is nil
function M.define(registry, names, parameters, call)
  local entry = { call = call, names = {}, places = {}, required = 0 }
  for word in parameters:gmatch("%S+") do
    if word == "*" then
      entry.variadic = true
    elseif word == "**" then
      entry.variadic, entry.takes_names = true, true
    else
      local name, optional = word:match("^([%w_]+)(%??)$")
      table.insert(entry.names, name)
      entry.places[name] = #entry.names
      if optional == "" then entry.required = #entry.names end
    end
  end
  for name in names:gmatch("%S+") do
    entry.name = entry.name or name
    registry[name] = entry
  end
end

--- Find what is wrong with a call, before or while it is made.
-- @param entry table: from a registry
-- @param count integer: how many arguments go by place
-- @param named list of strings: the names used
-- @return string or nil: the complaint
function M.complaint(entry, count, named)
  if count > #entry.names and not entry.variadic then
    return ("'%s' takes at most %d arguments, not %d"):format(entry.name, #entry.names, count)
  end
  if entry.takes_names then return nil end
  local given = {}
  for _, name in ipairs(named) do
    local place = entry.places[name]
    if not place then return ("'%s' has no argument '%s'"):format(entry.name, name) end
    if place <= count then return ("'%s' got '%s' twice"):format(entry.name, name) end
    given[place] = true
  end
  for place = count + 1, entry.required do
    if not given[place] then
      return ("'%s' needs the argument '%s'"):format(entry.name, entry.names[place])
    end
  end
end

local NONE = {}

--- Call an entry of a registry with arguments known only now.
-- @param entry table
-- @param value any: what the filter, test or method applies to
-- @param named table or nil: see `values.each_named`
-- @param ... the arguments by place
function M.apply(entry, value, named, ...)
  local names = named or NONE
  local count = select("#", ...)
  local complaint = M.complaint(entry, count, names)
  if complaint then values.fail(complaint) end
  if entry.takes_names then return entry.call(value, named, ...) end
  if #names == 0 then return entry.call(value, ...) end
  local arguments = { ... }
  for _, name in ipairs(names) do arguments[entry.places[name]] = named[name] end
  return entry.call(value, table.unpack(arguments, 1, math.max(count, #entry.names)))
end

return M
