-- Variables that are templates over each other, rendered when they are read.
local data = require "kb.data"
local template = require "kb.template"

local M = {}

local function is_template(text) return text:find "{[{%%#]" ~= nil end

local function holds_template(value)
  local kind = data.kind(value)
  if kind == "string" then return is_template(value) end
  if kind ~= "map" and kind ~= "list" then return false end
  for key, item in data.pairs(value) do
    if holds_template(item) or type(key) == "string" and is_template(key) then return true end
  end
  return false
end

-- A text that is one expression keeps the type of its value, as in Ansible.
local function render_text(text, context, name)
  local options = { name = "variable " .. name }
  local single = text:match "^%s*{{(.-)}}%s*$"
  if single and not single:find("{{", 1, true) and not single:find("}}", 1, true) then
    local expression, problem = template.expression(single, options)
    if expression then return expression:evaluate(context) end
    return nil, problem
  end
  local compiled, problem = template.compile(text, options)
  if not compiled then return nil, problem end
  return compiled:render(context)
end

local render

local function render_all(value, context, name)
  local made = data.kind(value) == "map" and data.map() or data.list {}
  for key, item in data.pairs(value) do
    local new_key, new_item, problem = key
    if type(key) == "string" and is_template(key) then
      new_key, problem = render(key, context, name)
      if problem then return nil, problem end
    end
    new_item, problem = render(item, context, name)
    if problem then return nil, problem end
    made[new_key] = new_item
  end
  return made
end

function render(value, context, name)
  if not holds_template(value) then return value end
  if type(value) == "string" then return render_text(value, context, name) end
  return render_all(value, context, name)
end

--- Render every template in a value, also inside of maps and lists, which are
-- copied then. What a template gives is not rendered again.
-- @param value any
-- @param context table: what the templates see
-- @param name string: of the variable, for errors
-- @return any; or nil and the template's error
M.render = render

--- Look at variables with their templates rendered; a variable that is not
-- there is nil. Templates see the other variables in the same way.
-- @param raw table: the variables as written
-- @param refuse function(name, problem): raises for a variable that cannot be
--   rendered; the problem is a template's error or a text
-- @return table, to be read and walked but not changed
function M.view(raw, refuse)
  local open, view = {}, nil -- the variables being rendered, outermost first
  local function read(_, name)
    local value = raw[name]
    if value == nil or not holds_template(value) then return value end
    for i, before in ipairs(open) do
      if before == name then
        refuse(name, "the variables refer to each other in a circle: "
          .. table.concat(open, " -> ", i) .. " -> " .. name)
      end
    end
    open[#open + 1] = name
    local ok, result, problem = pcall(render, value, view, name)
    open[#open] = nil
    if not ok then error(result, 0) end
    if problem ~= nil then refuse(name, problem) end
    return result
  end
  local function walk()
    local key
    return function()
      key = next(raw, key)
      if key ~= nil then return key, view[key] end
    end
  end
  view = setmetatable({}, { __index = read, __pairs = walk, kb_kind = "map",
    __newindex = function() error("variables cannot be changed here", 2) end })
  return view
end

return M
