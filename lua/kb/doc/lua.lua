--- The documented entries of a Lua module, read from its source.
local comment = require "kb.doc.comment"

local M = {}

-- What the code after a block defines: each pattern gives a name and, for
-- functions, the parameters.
local forms = {
  { "^function M[.:]([%w_]+)%((.-)%)", "function" },
  { "^M%.([%w_]+) = function%((.-)%)", "function" },
  { "^function ([%u][%w_]*[.:][%w_]+)%((.-)%)", "method" },
  { "^M%.([%w_]+) = [%w_.]*op[%w_.]*%s*[({]", "operation" },
  { "^M%.([%w_]+) = [%w_.]*fact[%w_.]*%s*[({]", "fact" },
  { "^M%.([%w_]+) = ", "value" },
}

--- Say what a line of code defines for others.
-- @param line string
-- @return table: key, kind ("function", "method", "operation", "fact" or
--   "value") and, for functions, parameters (string); nil for anything else
function M.definition(line)
  for _, form in ipairs(forms) do
    local key, parameters = line:match(form[1])
    if key then
      return { key = key, kind = form[2], parameters = parameters }
    end
  end
end

-- Comments in order, each with the line of code after it; a block that is not
-- the first one of the file counts only when it begins with three dashes.
local function blocks(source)
  local list, open, at = {}, nil, 0
  for line in (source .. "\n"):gmatch("(.-)\n") do
    at = at + 1
    local text = line:match("^%-%-%-?%s?(.*)$")
    if text and open then
      table.insert(open.lines, text)
    elseif text then
      open = { lines = { text }, doc = line:find("^%-%-%-") ~= nil, first = at == 1, at = at }
    elseif open then
      open.code, open.code_at = line, at
      list[#list + 1] = open
      open = nil
    end
  end
  return list
end

-- The name that an operation or a fact gives itself in its first lines.
local function own_name(source, at)
  local n = 0
  for line in (source .. "\n"):gmatch("(.-)\n") do
    n = n + 1
    local name = n >= at and line:match('%f[%w_]name%s*=%s*"([%w_.-]+)"')
    if name then
      return name
    elseif n > at + 3 then
      return nil
    end
  end
end

local function full_name(module, source, definition, at)
  if definition.kind == "operation" or definition.kind == "fact" then
    local name = own_name(source, at)
    if name then
      return name
    end
  end
  if definition.kind == "method" then
    return module .. "." .. definition.key
  end
  return (module:gsub("^modules%.", "")) .. "." .. definition.key
end

--- Read a module.
-- @param module string: its name, "kb.data" or "modules.files"
-- @param source string
-- @return table: name, summary and body of the module, and entries: a list of
--   blocks (see kb.doc.comment) with name, key, kind, parameters and line
function M.read(module, source)
  local found = { name = module, summary = "", body = "", entries = {} }
  for _, block in ipairs(blocks(source)) do
    local definition = M.definition(block.code)
    local parsed = comment.parse(table.concat(block.lines, "\n"))
    local private = definition and tostring(definition.key):find("%f[^.:\0]_")
    if definition and block.doc and not private then
      parsed.name = full_name(module, source, definition, block.code_at)
      parsed.key, parsed.kind = definition.key, definition.kind
      parsed.parameters, parsed.line = definition.parameters, block.code_at
      table.insert(found.entries, parsed)
    elseif block.first then
      found.summary, found.body = parsed.summary, parsed.body
    end
  end
  return found
end

return M
