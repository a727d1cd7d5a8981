-- JSON for filters: the writer of `kb.json`, with what templates must refuse.
local data = require "kb.data"
local json = require "kb.json"
local operators = require "kb.template.operators"
local text = require "kb.template.text"
local values = require "kb.template.values"

local M = {}

--- Raise the error of an undefined value at or inside a value.
function M.check_defined(value)
  local kind = values.kind(value)
  if kind == "undefined" then values.fail_undefined(value) end
  if kind == "map" then
    for _, item in data.pairs(value) do M.check_defined(item) end
  elseif kind == "list" then
    for _, item in ipairs(value) do M.check_defined(item) end
  end
end

local function other_text(value)
  if values.kind(value) == "object" then
    values.fail(("'%s' cannot become JSON"):format(values.type_name(value)))
  end
  return text.str(value)
end

--- Write a value as JSON.
-- @param value any
-- @param options table: `indent`, `sort`, `ascii`, `compact`, as for `kb.json`,
--   but true and false in Python's sense
-- @return string
function M.encode(value, options)
  M.check_defined(value)
  local function set(name)
    return options[name] ~= nil and operators.truth(options[name])
  end
  local ok, result = pcall(json.encode, value, {
    indent = options.indent, sort = set "sort", ascii = options.ascii == nil or set "ascii",
    compact = set "compact", other = other_text, max_depth = 200,
  })
  if ok then return result end
  if type(result) ~= "string" then error(result, 0) end
  values.fail((tostring(result):gsub("^[^\n]-:%d+: ", "")))
end

return M
