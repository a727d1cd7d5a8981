--- What the tables of a playbook's source hold, for the static check.

local M = {}

--- The value of a constant node.
-- @param node table
-- @return known boolean: false when it is computed; value string, number or boolean
function M.constant(node)
  local word = node.text and node.text:match("^%S+")
  if node.tag == "String" then
    return true, node.value
  elseif node.tag == "Number" then
    return true, tonumber(word)
  elseif word == "true" or word == "false" then
    return true, word == "true"
  end
  return false
end

--- The items of a table node by their key, positional ones by number.
-- @param node table
-- @return table; nil when a key is computed, so that anything may be given
function M.items(node)
  local items, n = {}, 0
  for _, item in ipairs(node.items) do
    if not item.key then
      n = n + 1
      items[n] = item.value
    elseif item.key.tag == "String" then
      items[item.key.value] = item.value
    else
      return nil
    end
  end
  return items
end

--- The names in the table that an item called `vars` is.
-- @param items table: as `items` gives them
-- @return set of names, computed boolean: true when it is no table to look into
function M.names_of_vars(items)
  local names = {}
  local node = items and items.vars
  for _, item in ipairs(node and node.tag == "Table" and node.items or {}) do
    if item.key and item.key.tag == "String" then
      names[item.key.value] = true
    end
  end
  return names, node ~= nil and node.tag ~= "Table"
end

return M
