--- Manuals as text for the terminal.
local help = require "kb.help"
local playbook = require "kb.doc.playbook"
local term = require "kb.term"

local M = {}

local function indented(text, width, by)
  local lines = {}
  for _, line in ipairs(term.wrap(text, width - by)) do
    lines[#lines + 1] = line == "" and "" or (" "):rep(by) .. line
  end
  return table.concat(lines, "\n") .. "\n"
end

local function heading(text)
  return "\n" .. term.paint("bold", text, 1) .. "\n"
end

-- What must be given, and dots for what may be.
local function operation_call(entry)
  local words, more = {}, false
  for _, argument in ipairs(entry.args) do
    if argument.required then
      local name = argument[1]
      table.insert(words, argument.at and argument.at or #words + 1,
        argument.at and name or name .. " = " .. name)
    else
      more = true
    end
  end
  if more then
    words[#words + 1] = "..."
  end
  return ("%s(host, { %s })"):format(entry.name, table.concat(words, ", "))
end

--- How a call of the entry is written.
-- @param entry table: see kb.doc.lua
-- @return string: "kb.data.map(entries)", "files.link(host, { path, to = to, ... })",
--   'host:fact("file.stat", path)'
function M.signature(entry)
  if entry.kind == "operation" and entry.args then
    return operation_call(entry)
  elseif entry.kind == "fact" then
    local words = { ("%q"):format(entry.name) }
    for _, param in ipairs(entry.params) do
      words[#words + 1] = param.name
    end
    return ("host:fact(%s)"):format(table.concat(words, ", "))
  elseif entry.parameters then
    return entry.name .. "(" .. entry.parameters .. ")"
  end
  return entry.name
end

local function value_text(value)
  if type(value) == "table" then
    local words = {}
    for _, item in ipairs(value) do
      words[#words + 1] = value_text(item)
    end
    return "{ " .. table.concat(words, ", ") .. " }"
  end
  return type(value) == "string" and ("%q"):format(value) or tostring(value)
end

local function type_text(kind)
  return type(kind) == "table" and "one of " .. table.concat(kind, ", ") or tostring(kind)
end

-- What a declaration (kb.args) says of an argument beside its comment.
local function notes_of(declared)
  local notes = {}
  if declared.required then
    notes[#notes + 1] = "required"
  end
  if declared.at then
    notes[#notes + 1] = declared.at == 1 and "its name may be left out" or "by place "
      .. declared.at
  end
  if declared.default ~= nil then
    notes[#notes + 1] = "default " .. value_text(declared.default)
  end
  return #notes > 0 and " (" .. table.concat(notes, "; ") .. ")" or ""
end

--- The arguments of an entry: those that it declares, each with what its comment
-- or else its declaration says, and those that only its comment knows.
-- @param entry table
-- @return list of tables: name, text
function M.parameters(entry)
  if not entry.args then
    return entry.params
  end
  local said, list = {}, {}
  for _, param in ipairs(entry.params) do
    said[param.name] = param.text
  end
  for _, declared in ipairs(entry.args) do
    local words = said[declared[1]] or type_text(declared[2]) .. ": " .. (declared[3] or "")
    list[#list + 1] = { name = declared[1], text = words .. notes_of(declared) }
  end
  return list
end

local function section(title, texts, width)
  if #texts == 0 then
    return ""
  end
  local parts = { heading(title) }
  for _, text in ipairs(texts) do
    parts[#parts + 1] = indented(text, width, 2)
  end
  return table.concat(parts)
end

--- The manual of one entry.
-- @param entry table
-- @param width integer: columns
-- @return string
function M.entry(entry, width)
  local parts = { term.paint("bold", M.signature(entry), 1), "\n" }
  parts[#parts + 1] = indented(entry.summary, width, 2)
  if entry.body ~= "" then
    parts[#parts + 1] = "\n" .. indented(entry.body, width, 2)
  end
  local parameters = M.parameters(entry)
  if #parameters > 0 then
    parts[#parts + 1] = heading("Arguments")
    local rows = {}
    for _, param in ipairs(parameters) do
      rows[#rows + 1] = { param.name, param.text }
    end
    parts[#parts + 1] = help.columns(rows, width)
  end
  parts[#parts + 1] = section("Returns", entry.returns, width)
  parts[#parts + 1] = section("Raises", entry.raises, width)
  for _, usage in ipairs(entry.usages) do
    parts[#parts + 1] = heading("Example") .. usage:gsub("([^\n]+)", "    %1") .. "\n"
  end
  return table.concat(parts)
end

local function row(name, summary, width)
  local left = 2 + math.max(28, #name)
  local lines = term.wrap(summary, math.max(width - left - 1, 30))
  local text = ("  %-28s %s\n"):format(name, lines[1] or "")
  for i = 2, #lines do
    text = text .. (" "):rep(31) .. lines[i] .. "\n"
  end
  return text
end

--- A module: what it is, and its entries with their first sentences.
-- @param module table
-- @param width integer: columns
-- @return string
function M.module(module, width)
  local name = module.name:gsub("^modules%.", "")
  local parts = { term.paint("bold", name, 1), "\n", indented(module.summary, width, 2) }
  if module.body ~= "" then
    parts[#parts + 1] = "\n" .. indented(module.body, width, 2)
  end
  parts[#parts + 1] = "\n"
  for _, entry in ipairs(module.entries) do
    parts[#parts + 1] = row(entry.name, entry.summary, width)
  end
  return table.concat(parts)
end

-- Text, and lines of commands, which stay as they are.
local function prose(body, width)
  local parts = {}
  for line, ending in body:gmatch("([^\n]*)(\n?)") do
    if line:find("^%s%s") then
      parts[#parts + 1] = "\0" .. line .. "\0"
    else
      parts[#parts + 1] = line .. ending
    end
  end
  local text = table.concat(parts)
  return (text:gsub("([^%z]+)", function(words)
    return words:find("^%s%s") and "  " .. words .. "\n" or indented(words, width, 2)
  end):gsub("%z", ""))
end

--- The manual of a playbook.
-- @param found table: see kb.doc.playbook
-- @param width integer: columns
-- @return string
function M.playbook(found, width)
  local parts = { term.paint("bold", found.name, 1), "\n", indented(found.summary, width, 2) }
  parts[#parts + 1] = found.body ~= "" and prose(found.body, width) or nil
  if #found.includes > 0 then
    parts[#parts + 1] = heading("Includes")
      .. indented(table.concat(found.includes, ", "), width, 2)
  end
  for _, described in ipairs(found.plays) do
    parts[#parts + 1] = heading("Play: " .. described.name)
    parts[#parts + 1] = described.summary ~= "" and indented(described.summary, width, 2) or nil
    parts[#parts + 1] = described.body ~= "" and prose(described.body, width) or nil
    parts[#parts + 1] = help.columns(playbook.properties(described), width)
  end
  return table.concat(parts)
end

--- Everything there is, with first sentences.
-- @param modules list of modules
-- @param width integer: columns
-- @return string
function M.list(modules, width)
  local parts = {}
  for _, module in ipairs(modules) do
    if #module.entries > 0 then
      local name = module.name:gsub("^modules%.", "")
      parts[#parts + 1] = ("%s  %s\n"):format(term.paint("bold", name, 1), module.summary)
      for _, entry in ipairs(module.entries) do
        parts[#parts + 1] = row(entry.name, entry.summary, width)
      end
      parts[#parts + 1] = "\n"
    end
  end
  return table.concat(parts)
end

return M
