-- Ansible's filters on paths. They look at the text only, never at files.
local arguments = require "kb.template.arguments"
local signature = require "kb.template.signature"
local text = require "kb.template.text"
local values = require "kb.template.values"

local M = {}

local function define(names, parameters, call)
  signature.define(M, names, parameters, call)
end

local function split(path)
  local head, tail = path:match("^(.*/)([^/]*)$")
  if not head then return "", path end
  if head:find("[^/]") then head = head:gsub("/+$", "") end
  return head, tail
end

local function path_of(value)
  return arguments.string(value, "a path")
end

define("basename", "", function(value) return (select(2, split(path_of(value)))) end)
define("dirname", "", function(value) return (split(path_of(value))) end)

define("splitext", "", function(value)
  local path = path_of(value)
  local directory, name = path:match("^(.*/)([^/]*)$")
  directory, name = directory or "", name or path
  local dots, rest = name:match("^(%.*)(.*)$")
  local root, extension = rest:match("^(.*)(%.[^.]*)$")
  if not root then return values.tuple { path, "" } end
  return values.tuple { directory .. dots .. root, extension }
end)

local function join(parts)
  local path = arguments.string(parts[1], "a part of a path")
  for i = 2, #parts do
    local part = arguments.string(parts[i], "a part of a path")
    if part:sub(1, 1) == "/" then
      path = part
    elseif path == "" or path:sub(-1) == "/" then
      path = path .. part
    else
      path = path .. "/" .. part
    end
  end
  return path
end

define("path_join", "", function(value)
  if type(value) == "string" then return value end
  if #arguments.list(value, "what 'path_join' takes") == 0 then
    values.fail("'path_join' needs at least one part")
  end
  return join(value)
end)

local function normalise(path)
  local root = path:match("^/*")
  if #root ~= 2 then root = root:sub(1, 1) end
  local parts = {}
  for part in path:gmatch("[^/]+") do
    if part == ".." and (#parts > 0 and parts[#parts] ~= ".." or root ~= "") then
      parts[#parts] = nil
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  return root, parts
end

define("normpath", "", function(value)
  local root, parts = normalise(text.str(value))
  local path = root .. table.concat(parts, "/")
  return path == "" and "." or path
end)

define("relpath", "start", function(value, start)
  local root, parts = normalise(text.str(value))
  local start_root, start_parts = normalise(text.str(start))
  if root == "" or start_root == "" then
    values.fail("'relpath' needs two absolute paths")
  end
  local common = 0
  while parts[common + 1] and parts[common + 1] == start_parts[common + 1] do
    common = common + 1
  end
  local relative = {}
  for _ = common + 1, #start_parts do relative[#relative + 1] = ".." end
  table.move(parts, common + 1, #parts, #relative + 1, relative)
  return #relative == 0 and "." or table.concat(relative, "/")
end)

define("win_basename", "", function(value)
  return text.str(value):match("([^/\\]*)$")
end)
define("win_dirname", "", function(value)
  local path = text.str(value)
  local head = path:match("^(.*[/\\])[^/\\]*$") or path:match("^%a:") or ""
  return head:find("[^/\\:]", 3) and head:gsub("[/\\]+$", "") or head
end)

return M
