--- The documented entries of the C libraries, from the comments that the build
-- has taken out of their sources (cmake/comments.awk).
local comment = require "kb.doc.comment"

local M = {}

-- lib_pki.c, pki_key.c and pki.c are of one library.
local function family(path)
  local name = path:match("([^/]+)%.c$")
  return name:match("^lib_(%w+)") or name:match("^(%w+)")
end

local function read_tables(text, tables)
  for name, rows in text:gmatch("const luaL_Reg ([%w_]+)%[%]%s*=%s*(%b{})") do
    tables[name] = {}
    for key, fn in rows:gmatch('{"([%w_]+)",%s*([%w_]+)}') do
      table.insert(tables[name], { key = key, fn = fn })
    end
  end
end

local function read_docs(text, docs)
  for block, fn in text:gmatch("/%*%*%*%s(.-)%*/\n[^\n]-([%w_]+)%(lua_State") do
    docs[fn] = comment.parse((block:gsub("\n%*%* ?", "\n")))
  end
end

local function files(text)
  local list = {}
  for path, body in (text .. "@file "):gmatch("([%w_./]+%.c)\n(.-)@file ") do
    list[#list + 1] = { path = path, text = body }
  end
  return list
end

-- What a file says of tables: which are functions, which are methods of what.
local function read_file(file, library)
  local tables, constants = {}, {}
  read_tables(file.text, tables)
  read_docs(file.text, library.docs)
  for name, value in file.text:gmatch('#define (%u+)%s+"(kb%.[%w_.]+)"') do
    constants[name] = value
  end
  local opener = file.text:match("int luaopen_([%w_]+)%(")
  if opener then
    library.name = "kb.core." .. opener:gsub("^kb_", "")
    library.summary = file.text:match("^/%*%s+(.-)%s*%*/") or library.summary
  end
  for name in file.text:gmatch("luaL_newlib%(L, ([%w_]+)%)") do
    library.functions = tables[name]
  end
  for name in file.text:gmatch("luaL_setfuncs%(L, ([%w_]+),") do
    library.functions = library.functions or tables[name]
  end
  for class, name in file.text:gmatch("bind_class%(L, ([%w_]+), ([%w_]+),") do
    local methods = tables[name] or {}
    table.insert(library.classes, { name = constants[class] or class, methods = methods })
  end
end

local function add(library, name, row, kind)
  local entry = library.docs[row.fn] or { missing = true, summary = "", body = "", params = {},
    returns = {}, raises = {}, usages = {}, unknown = {} }
  local twin = {}
  for key, value in pairs(entry) do
    twin[key] = value
  end
  local names = {}
  for _, param in ipairs(twin.params) do
    names[#names + 1] = param.name
  end
  twin.name, twin.key, twin.kind, twin.fn = name, row.key, kind, row.fn
  twin.parameters = table.concat(names, ", ")
  table.insert(library.entries, twin)
end

local function finish(library)
  library.entries, library.body = {}, ""
  library.summary = library.summary and library.summary:gsub("\n%*%* ?", " ")
    :gsub("^kb%.core%.[%w_]+:%s*", ""):gsub("^%l", string.upper) or ""
  for _, row in ipairs(library.functions or {}) do
    add(library, library.name .. "." .. row.key, row, "function")
  end
  for _, class in ipairs(library.classes) do
    for _, row in ipairs(class.methods) do
      add(library, class.name .. ":" .. row.key, row, "method")
    end
  end
  return library
end

--- Read all libraries.
-- @param text string: what comments.awk has found
-- @return list of tables: name, summary and entries of each, sorted by name; an
--   entry of a function without a comment has missing = true
function M.read(text)
  local by_family, list = {}, {}
  for _, file in ipairs(files(text)) do
    local name = family(file.path)
    by_family[name] = by_family[name] or { docs = {}, classes = {} }
    read_file(file, by_family[name])
  end
  for _, library in pairs(by_family) do
    if library.name then
      list[#list + 1] = finish(library)
    end
  end
  table.sort(list, function(a, b)
    return a.name < b.name
  end)
  return list
end

return M
