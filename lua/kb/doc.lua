--- The manual: every operation, fact and function, from the sources' comments.
local c = require "kb.doc.c"
local embedded = require "kb.core.embedded"
local lua = require "kb.doc.lua"

local M = {}

--- Whether a module is for others: kb.data, kb.transport.ssh, modules.files. What
-- is deeper is the inside of one; a command explains itself by its table.
-- @param name string: a module's name
-- @return boolean
function M.is_public(name)
  if name:find("^kb%.transport%.") or name:find("^modules%.[%w_]+%.facts$") then
    return true
  end
  return name:find("^kb%.[%w_]+$") ~= nil or name:find("^modules%.[%w_]+$") ~= nil
    or name == "kb"
end

-- Arguments that an operation or a fact declares, from the loaded module.
local function add_arguments(module, entry)
  local ok, loaded = pcall(require, module)
  local object = ok and type(loaded) == "table" and rawget(loaded, entry.key)
  entry.args = type(object) == "table" and (object.declared or object.args) or nil
end

-- What people write playbooks with comes first, what is underneath last.
local function rank(module)
  return module.name:find("^modules%.") and 1 or module.name:find("^kb%.core%.") and 3 or 2
end

local function before(a, b)
  if rank(a) ~= rank(b) then
    return rank(a) < rank(b)
  end
  return a.name < b.name
end

local function read_all()
  local modules = {}
  for _, name in ipairs(embedded.names()) do
    if M.is_public(name) then
      local module = lua.read(name, embedded.text(name))
      for _, entry in ipairs(module.entries) do
        if entry.kind == "operation" or entry.kind == "fact" then
          add_arguments(name, entry)
        end
      end
      modules[#modules + 1] = module
    end
  end
  for _, library in ipairs(c.read(embedded.text("engine/comments"))) do
    modules[#modules + 1] = library
  end
  table.sort(modules, before)
  return modules
end

local modules

--- All documented modules: those of operations and facts, those of the
-- language, those of the engine; each sorted by name.
-- @return list of tables: name, summary, body, entries (see kb.doc.lua)
function M.modules()
  modules = modules or read_all()
  return modules
end

local function shown(name)
  return (name:gsub("^modules%.", ""))
end

--- Every name that has a manual.
-- @return list of strings: modules as people call them, and entries
function M.names()
  local list = {}
  for _, module in ipairs(M.modules()) do
    list[#list + 1] = shown(module.name)
    for _, entry in ipairs(module.entries) do
      list[#list + 1] = entry.name
    end
  end
  return list
end

local function matches(name, word)
  return name == word or name:sub(-#word - 1) == "." .. word
    or name:gsub(":", ".") == word:gsub(":", ".")
end

local function collect(word, accept)
  local found = {}
  for _, module in ipairs(M.modules()) do
    if accept(shown(module.name), word) then
      found[#found + 1] = { module = module }
    end
    for _, entry in ipairs(module.entries) do
      if accept(entry.name, word) then
        found[#found + 1] = { module = module, entry = entry }
      end
    end
  end
  return found
end

--- Find what a word names: exactly, or else by the end of a name, so that
-- "data.map" finds kb.data.map.
-- @param word string
-- @return list of tables: module, and entry unless the module itself is meant
function M.find(word)
  local exact = collect(word, function(name)
    return name == word
  end)
  return #exact > 0 and exact or collect(word, matches)
end

return M
