-- Questions about parts of a template's tree, asked while compiling it.
local M = {}

-- Tags whose bodies have a scope of their own.
local HARD = {
  ["for"] = true, ["with"] = true, ["macro"] = true, ["call"] = true, ["filter"] = true,
  ["block"] = true,
}

--- Call a function with every node at or below a node, until it says true.
-- @return boolean: whether it did
function M.any(node, wanted)
  if type(node) ~= "table" then return false end
  if node.kind and wanted(node) then return true end
  for key, child in pairs(node) do
    if key ~= "at" and type(child) == "table" and M.any(child, wanted) then return true end
  end
  return false
end

--- Say whether a name is read or written anywhere below a node.
function M.mentions(node, name)
  return M.any(node, function(found)
    return found.kind == "name" and found.name == name
      or found.kind == "attribute_target" and found.base == name
  end)
end

local function add_targets(target, names)
  if target.kind == "name" then
    names[target.name] = true
  elseif target.kind == "targets" then
    for _, item in ipairs(target.items) do add_targets(item, names) end
  end
end
M.add_targets = add_targets

local function add_assigned(node, names)
  local kind = node.kind
  if kind == "set" then
    add_targets(node.target, names)
  elseif kind == "macro" then
    names[node.name] = true
  elseif kind == "import" then
    names[node.as] = true
  elseif kind == "from" then
    for _, import in ipairs(node.names) do names[import.as or import.name] = true end
  elseif kind == "if" then
    for _, branch in ipairs(node.branches) do M.assigned(branch.body, names) end
    M.assigned(node.otherwise or {}, names)
  end
end

--- Collect the names that a body assigns in its own scope.
-- @return table: a set
function M.assigned(body, names)
  names = names or {}
  for _, node in ipairs(body) do
    if not HARD[node.kind] then add_assigned(node, names) end
    if node.kind == "macro" then names[node.name] = true end
    if node.kind == "autoescape" then M.assigned(node.body, names) end
  end
  return names
end

--- Say whether a body may read a name before it assigns it.
function M.needs_outer(body, name)
  for _, node in ipairs(body) do
    if node.kind == "set" and node.value and node.target.kind == "name"
      and node.target.name == name then
      return M.mentions(node.value, name)
    end
    if M.mentions(node, name) then return true end
    if node.kind == "include" or node.kind == "import" or node.kind == "block" then return true end
  end
  return false
end

--- Say whether an attribute of a variable is read anywhere below a node.
function M.reads_attribute(node, name)
  return M.any(node, function(found)
    return found.kind == "attribute" and found.base.kind == "name" and found.base.name == name
  end)
end

local SIMPLE = {
  index = true, index0 = true, first = true, last = true, length = true,
  revindex = true, revindex0 = true,
}

--- Say how a loop's body uses `loop`: "none", "simple" (only what the counter
-- tells) or "full".
function M.loop_use(body)
  local simple = {}
  local used = "none"
  M.any(body, function(node)
    if node.kind == "attribute" and node.base.kind == "name" and node.base.name == "loop"
      and SIMPLE[node.name] then
      simple[node.base] = true
      used = "simple"
    elseif node.kind == "block" and node.scoped then
      simple.full = true
    elseif node.kind == "include" and node.with_context ~= false or node.with_context then
      simple.shared = true
    end
  end)
  local full = simple.full or simple.shared and used == "simple" or M.any(body, function(node)
    return node.kind == "name" and node.name == "loop" and not simple[node]
  end)
  return full and "full" or used
end

--- Say whether a body breaks off its round with `continue`, nested loops aside.
function M.continues(body)
  for _, node in ipairs(body) do
    if node.kind == "continue" then return true end
    if node.kind ~= "for" then
      for _, branch in ipairs(node.branches or {}) do
        if M.continues(branch.body) then return true end
      end
      if M.continues(node.body or {}) or M.continues(node.otherwise or {}) then return true end
    end
  end
  return false
end

return M
