-- Where an inventory comes from: a file of YAML, INI or Lua, a directory of
-- such files, or names separated by commas.
local sys = require "kb.core.sys"
local files = require "kb.inventory.files"
local ini = require "kb.inventory.ini"
local shape = require "kb.inventory.shape"
local tree = require "kb.inventory.tree"

local M = {}

-- Names in a directory that are no sources, as in Ansible.
local ignored_names = { host_vars = true, group_vars = true, vars_plugins = true }
local ignored_extensions = { pyc = true, pyo = true, swp = true, bak = true, rpm = true, md = true,
  txt = true, rst = true, orig = true, ini = true, cfg = true, retry = true }

local function read_lua(into, path)
  local text, message = sys.read_file(path)
  if not text then tree.fail(nil, "%s", message) end
  local chunk
  chunk, message = load(text, "@" .. path, "t")
  if not chunk then tree.fail(nil, "%s", message) end
  local ok, value = pcall(chunk)
  if ok and type(value) == "function" then ok, value = pcall(value) end
  if not ok then tree.fail({ file = path }, "%s", tostring(value)) end
  if type(value) ~= "table" then
    tree.fail({ file = path }, "an inventory in Lua returns a table of groups or a function that "
      .. "does, here is %s", type(value))
  end
  shape.read(into, value, path, true)
end

-- Whether the text looks like INI: its first line that says something does.
local function looks_like_ini(text)
  for line in text:gmatch "[^\n]+" do
    local bare = line:match "^%s*(.-)%s*$"
    if bare ~= "" and not bare:find "^[#;]" then
      return bare:find "^%[" ~= nil or bare ~= "---" and not bare:find ":%s*$"
        and not bare:find ":%s" and not bare:find "^{"
    end
  end
  return false
end

local function read_file(into, path)
  local extension = path:match "[^/]%.(%w+)$"
  if extension == "lua" then return read_lua(into, path) end
  local text, message = sys.read_file(path)
  if not text then tree.fail(nil, "%s", message) end
  if text:sub(1, 2) == "#!" then
    tree.fail({ file = path }, "this is a program; inventories that are programs are not "
      .. "supported: save what it prints, or write the inventory in Lua")
  end
  local yaml_named = extension == "yml" or extension == "yaml" or extension == "json"
  if extension == "ini" or not yaml_named and looks_like_ini(text) then
    return ini.read(into, text, path)
  end
  shape.read(into, files.read(path, into.warn), path, false)
end

local function read_directory(into, dir)
  for _, name in ipairs(files.list(dir)) do
    local path = dir .. "/" .. name
    if not ignored_names[name] and not ignored_extensions[name:match "%.(%w+)$" or ""] then
      local found = sys.stat(path)
      if found and found.kind == "directory" then
        read_directory(into, path)
      else
        read_file(into, path)
      end
    end
  end
end

local function read_names(into, text)
  for name in text:gmatch "[^,%s]+" do
    into:add_host(name, into.groups.ungrouped, nil, { file = "the list of hosts" })
  end
end

--- Add a source to a tree.
-- @param into table: of kb.inventory.tree
-- @param path string: a file, a directory, or `host1,host2,`
-- @return string or nil: the directory whose group_vars/ and host_vars/ count
function M.read(into, path)
  local found, message = sys.stat(path)
  if not found and path:find(",", 1, true) then
    read_names(into, path)
    return nil
  elseif not found then
    tree.fail(nil, "the inventory cannot be read: %s", message)
  end
  into.source = path
  if found.kind == "directory" then
    path = path:gsub("/+$", "")
    read_directory(into, path)
    return path == "" and "/" or path
  end
  read_file(into, path)
  return path:match "^(.+)/[^/]*$" or path:sub(1, 1) == "/" and "/" or "."
end

return M
