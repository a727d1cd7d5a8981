--- The variables that --extra gives on the command line.
local err = require "kb.err"
local yaml = require "kb.yaml"

local function checked(value, message)
  if value == nil then
    err.raise("usage", "--extra: " .. tostring(message))
  end
  return value
end

--- Read them.
-- @param list list of strings: name=value (the value is YAML), or @FILE for a YAML file of many
-- @return table
-- @raise kb.err of kind usage
return function(list)
  local vars = {}
  for _, item in ipairs(list) do
    local file = item:match("^@(.+)$")
    local name, value = item:match("^([%w_]+)=(.*)$")
    if file then
      for k, v in pairs(checked(yaml.load_file(file))) do
        vars[k] = v
      end
    elseif name then
      vars[name] = checked(yaml.load(value, { name = name }))
    else
      err.raise("usage", ("--extra %s: name=value or @FILE was expected"):format(item))
    end
  end
  return vars
end
