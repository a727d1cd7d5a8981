--- TOML as containerd reads it: tables, strings, numbers, booleans and lists, written so that the
-- same value gives the same text.

local data = require "kb.data"
local kb = require "kb"

local M = {}

local function key_text(key)
  key = tostring(key)
  return key:find("^[%w_-]+$") and key or ("%q"):format(key)
end

local escapes = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r" }

local function string_text(text)
  return '"' .. text:gsub('[\\"\n\t\r]', escapes):gsub("%c", function(c)
    return ("\\u%04x"):format(c:byte())
  end) .. '"'
end

local inline

local function list_text(list, path)
  local parts = {}
  for i, value in ipairs(list) do
    parts[i] = inline(value, ("%s[%d]"):format(path, i))
  end
  return "[" .. table.concat(parts, ", ") .. "]"
end

local function map_text(map, path)
  local parts = {}
  for key, value in data.pairs(map) do
    parts[#parts + 1] = key_text(key) .. " = " .. inline(value, path .. "." .. key)
  end
  return #parts > 0 and "{ " .. table.concat(parts, ", ") .. " }" or "{}"
end

function inline(value, path)
  local kind = data.kind(value)
  if kind == "string" then
    return string_text(value)
  elseif kind == "number" or kind == "boolean" then
    return tostring(value)
  elseif kind == "list" then
    return list_text(value, path)
  elseif kind == "map" then
    return map_text(value, path)
  end
  kb.refuse(("%s: TOML has no %s"):format(path, kind))
end

-- A table's own values come before the tables in it, which have headings of their own.
local function add_table(lines, map, path)
  local own, below = {}, {}
  for key, value in data.pairs(map) do
    local full = path == "" and key_text(key) or path .. "." .. key_text(key)
    if data.kind(value) == "map" then
      below[#below + 1] = { full, value }
    else
      own[#own + 1] = key_text(key) .. " = " .. inline(value, full)
    end
  end
  if path ~= "" and (#own > 0 or #below == 0) then
    lines[#lines + 1] = ("\n[%s]"):format(path)
  end
  table.move(own, 1, #own, #lines + 1, lines)
  for _, entry in ipairs(below) do
    add_table(lines, entry[2], entry[1])
  end
end

--- The text of a table.
-- @param map table: keys in the order of `kb.data`
-- @return string
-- @raise kb.err when it holds what TOML cannot
function M.encode(map)
  local lines = {}
  add_table(lines, map, "")
  return table.concat(lines, "\n") .. "\n"
end

return M
