-- group_vars/ and host_vars/: which files belong to a name, and what they hold.
local sys = require "kb.core.sys"
local data = require "kb.data"
local json = require "kb.json"
local yaml = require "kb.yaml"
local tree = require "kb.inventory.tree"

local M = {}

local EXTENSIONS = { ".yml", ".yaml", ".json" }

local function kind_of(path)
  local found = sys.stat(path)
  return found and found.kind
end

local function has_extension(name)
  local extension = name:match "^.+(%.[^.]*)$"
  if not extension then return false, true end
  for _, known in ipairs(EXTENSIONS) do
    if extension == known then return true, true end
  end
  return true, false
end

--- The names in a directory, sorted, without hidden ones.
function M.list(dir)
  local entries, message = sys.list(dir)
  if not entries then tree.fail({ file = dir }, "cannot be read: %s", message) end
  local visible = {}
  for _, name in ipairs(entries) do
    if name:sub(1, 1) ~= "." and name:sub(-1) ~= "~" then visible[#visible + 1] = name end
  end
  table.sort(visible)
  return visible
end

-- Files of a directory and of directories in it whose names have no extension.
local function add_directory(dir, found)
  for _, name in ipairs(M.list(dir)) do
    local path = dir .. "/" .. name
    local extended, known = has_extension(name)
    local kind = kind_of(path)
    if kind == "directory" and not extended then
      add_directory(path, found)
    elseif kind == "file" and known then
      found[#found + 1] = path
    end
  end
end

--- The files with the variables of a host or group: a directory or file of its
-- name, or else a file of its name with an extension. Only the first of these
-- is read, as in Ansible; that others are there is worth a warning.
-- @param dir string: the group_vars or host_vars directory
-- @param name string
-- @param warn function
-- @return list of paths
function M.find(dir, name, warn)
  local found, first = {}, nil
  for _, extension in ipairs { "", table.unpack(EXTENSIONS) } do
    local path = dir .. "/" .. name .. extension
    local kind = kind_of(path)
    if kind and first then
      warn { file = path, message = "this is not read, because there is " .. first }
    elseif kind == "directory" then
      first = path
      add_directory(path, found)
    elseif kind then
      first = path
      found[1] = path
    end
  end
  return found
end

-- The text is not a template, however it looks.
local function unsafe(text)
  if not text:find "{[{%%#]" then return text end
  return "{% raw %}" .. text .. "{% endraw %}"
end

--- Read a file of YAML 1.1 (or JSON) as Ansible would.
-- @param path string
-- @param warn function
-- @return the value; raises for `inventory.load`
function M.read(path, warn)
  local text, message = sys.read_file(path)
  if not text then tree.fail(nil, "%s", message) end
  if text:find "^%$ANSIBLE_VAULT" then
    tree.fail({ file = path }, "this file is encrypted by Ansible's vault; vault files are not "
      .. "supported yet")
  end
  local value
  if path:find "%.json$" then
    value, message = json.decode(text, { name = path })
  else
    local function on_warning(warning)
      if warning.kind ~= "boolean" then warn(warning) end -- yes and no are Ansible's own custom
    end
    value, message = yaml.load(text, { name = path, version = "1.1", warn = on_warning,
      tags = { ["!unsafe"] = unsafe } })
  end
  if value == nil then tree.fail(nil, "%s", message) end
  return value
end

--- Add the definitions in a file of variables to a list, in the file's order.
-- @param path string
-- @param warn function
-- @param list table
function M.definitions(path, warn, list)
  local value = M.read(path, warn)
  if value == data.null then return end
  if data.kind(value) ~= "map" then
    tree.fail({ file = path }, "a file of variables holds a map: name: value")
  end
  for key, item in data.pairs(value) do
    local _, line, column = yaml.position(value, key)
    list[#list + 1] = { key = key, value = item, file = path, line = line, column = column }
  end
end

return M
