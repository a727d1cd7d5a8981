--- Declared variables: what a variable must be, checked for all hosts of a playbook before anything
--- is connected.

local yaml = require "kb.yaml"

local M = {}

local declared = {} -- name -> check

--- Declare a variable; see kb.variable.
-- @param name string
-- @param check function(value, hosts) -> list of { path = list of keys, message }
function M.declare(name, check)
  declared[name] = check
end

-- The hosts of an inventory as a check sees them.
local function hosts_of(inventory)
  return {
    match = function(pattern)
      return inventory:match(pattern) or {}
    end,
    var = function(name, variable)
      local value = inventory:vars(name)[variable]
      local rendered = value ~= nil and inventory:render(value, name)
      return rendered or nil
    end,
  }
end

-- Where an entry is written: as near to it as is known.
local function position(value, path, definition)
  local file, line = definition.file, definition.line
  for _, key in ipairs(path) do
    if type(value) ~= "table" then
      break
    end
    local its_file, its_line = yaml.position(value, key)
    if its_file then
      file, line = its_file, its_line
    end
    value = value[key]
  end
  return file, line
end

-- The variable of a host as written, and where.
local function written(name, host, play, options)
  for _, layer in ipairs { options.extra_vars or {}, play.vars } do
    if layer[name] ~= nil then
      local file = layer == play.vars and play.file or "--extra"
      return layer[name], { file = file, line = layer == play.vars and play.line or 0 }
    end
  end
  local value = options.inventory:vars(host)[name]
  return value, value ~= nil and options.inventory:definition(name, host) or nil
end

local function label(name, path)
  local text = name
  for _, key in ipairs(path) do
    text = text .. (type(key) == "number" and ("[%d]"):format(key) or "." .. tostring(key))
  end
  return text
end

local function check_value(name, value, where, host, options, add)
  local rendered, message = options.inventory:render(value, host)
  if rendered == nil then
    return add(where.file, where.line, ("%s: %s"):format(name, message))
  end
  for _, finding in ipairs(declared[name](rendered, hosts_of(options.inventory))) do
    local file, line = position(value, finding.path, where)
    add(file or "?", line or 0, ("%s: %s"):format(label(name, finding.path), finding.message))
  end
end

local function check_variable(name, plays, options, add)
  local seen, any, some_host = {}, false, nil
  for _, play in ipairs(plays) do
    for _, host in ipairs(options.inventory:match(play.hosts) or {}) do
      some_host = some_host or { host = host, play = play }
      local value, where = written(name, host, play, options)
      any = any or value ~= nil
      if value ~= nil and not seen[value] then
        seen[value] = true -- one table stands for all hosts that inherit it
        check_value(name, value, where, host, options, add)
      end
    end
  end
  if some_host and not any then
    add(some_host.play.file, some_host.play.line,
      ("play %q: variable '%s' is not defined for any of its hosts"):format(some_host.play.name,
        name))
  end
end

--- Check all declared variables.
-- @param plays list of plays
-- @param options table: inventory, extra_vars
-- @param add function(file, line, message): takes a finding
function M.check(plays, options, add)
  for name in pairs(declared) do
    check_variable(name, plays, options, add)
  end
end

return M
