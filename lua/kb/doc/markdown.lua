--- Manuals as Markdown: the files of docs/reference.
local help = require "kb.help"
local options = require "kb.options"
local playbook = require "kb.doc.playbook"
local text = require "kb.doc.text"

local M = {}

local function list(title, texts)
  if #texts == 0 then
    return ""
  end
  local parts = { "\n", title, ":\n\n" }
  for _, words in ipairs(texts) do
    parts[#parts + 1] = "- " .. words .. "\n"
  end
  return table.concat(parts)
end

local function fenced(code, language)
  return "\n```" .. language .. "\n" .. code .. "\n```\n"
end

-- Indented lines of a comment are code; the others are text.
local function prose(body)
  return body ~= "" and "\n" .. body .. "\n" or ""
end

local function entry_page(entry)
  local parts = { ("\n## %s\n\n"):format(entry.name) }
  if entry.kind ~= "value" then
    parts[#parts + 1] = ("`%s`\n\n"):format(text.signature(entry))
  end
  parts[#parts + 1] = entry.summary .. "\n" .. prose(entry.body)
  local params = {}
  for _, param in ipairs(text.parameters(entry)) do
    params[#params + 1] = ("`%s`: %s"):format(param.name, param.text)
  end
  parts[#parts + 1] = list("Arguments", params)
  parts[#parts + 1] = list("Returns", entry.returns)
  parts[#parts + 1] = list("Raises", entry.raises)
  for _, usage in ipairs(entry.usages) do
    parts[#parts + 1] = fenced(usage, "lua")
  end
  return table.concat(parts)
end

local function module_page(module)
  local name = module.name:gsub("^modules%.", "")
  local parts = { ("# %s\n\n%s\n%s"):format(name, module.summary, prose(module.body)) }
  for _, entry in ipairs(module.entries) do
    parts[#parts + 1] = entry_page(entry)
  end
  return table.concat(parts)
end

local function command_page(command, all)
  local name = command.name == "run" and "" or command.name .. " "
  local usage = ("kbrun %s[OPTION...] %s"):format(name, help.usage(command))
  local parts = { ("\n## %s\n\n`%s`\n\n%s.\n"):format(command.name, (usage:gsub("%s+$", "")),
    (command.summary:gsub("^%l", string.upper))) }
  parts[#parts + 1] = prose(command.description or "")
  local rows = {}
  for _, argument in ipairs(command.arguments or {}) do
    rows[#rows + 1] = ("`%s`: %s"):format(argument.name, argument.help)
  end
  parts[#parts + 1] = list("Arguments", rows)
  for _, group in ipairs(help.groups(all)) do
    rows = {}
    for _, option in ipairs(group) do
      local synopsis = options.synopsis(option):gsub("^%s+", "")
      rows[#rows + 1] = ("`%s`: %s"):format(synopsis, options.explanation(option))
    end
    parts[#parts + 1] = list(group.name, rows)
  end
  return table.concat(parts)
end

-- Lines of commands are indented less in a playbook's comment than Markdown wants.
local function with_code(body)
  local parts, in_code = {}, false
  for line in (body .. "\n"):gmatch("(.-)\n") do
    local code = line:find("^%s%s") ~= nil
    if code ~= in_code and #parts > 0 then
      parts[#parts + 1] = ""
    end
    parts[#parts + 1] = code and "    " .. line:gsub("^%s+", "") or line
    in_code = code
  end
  return table.concat(parts, "\n")
end

local function playbook_page(found)
  local parts = { ("# %s\n\n%s\n%s"):format(found.path, found.summary,
    prose(with_code(found.body))) }
  local included = {}
  for _, name in ipairs(found.includes) do
    included[#included + 1] = ("[%s](playbook.%s.md)"):format(name, (name:gsub("%.lua$", "")))
  end
  parts[#parts + 1] = list("Includes", included)
  for _, described in ipairs(found.plays) do
    parts[#parts + 1] = ("\n## Play: %s\n"):format(described.name)
    parts[#parts + 1] = prose(described.summary) .. prose(with_code(described.body)) .. "\n"
    for _, row in ipairs(playbook.properties(described)) do
      parts[#parts + 1] = ("- %s: `%s`\n"):format(row[1], row[2])
    end
  end
  return table.concat(parts)
end

local function index_page(modules, playbooks)
  local parts = { "# Reference\n\n",
    "Made from the comments in the sources by `kbrun doc --markdown`.\n\n",
    "- [commands](commands.md): The command line.\n" }
  for _, module in ipairs(modules) do
    local name = module.name:gsub("^modules%.", "")
    parts[#parts + 1] = ("- [%s](%s.md): %s\n"):format(name, name, module.summary)
  end
  parts[#parts + 1] = #playbooks > 0 and "\n## Playbooks\n\n" or nil
  for _, found in ipairs(playbooks) do
    parts[#parts + 1] = ("- [%s](playbook.%s.md): %s\n"):format(found.path,
      (found.name:gsub("%.lua$", "")), found.summary)
  end
  return table.concat(parts)
end

--- All pages.
-- @param modules list of modules (kb.doc)
-- @param commands list of tables: command, and all its options
-- @param playbooks list of playbooks (kb.doc.playbook)
-- @return list of tables: name (of the file) and text
function M.pages(modules, commands, playbooks)
  local documented, pages = {}, {}
  for _, module in ipairs(modules) do
    if #module.entries > 0 then
      documented[#documented + 1] = module
      local name = module.name:gsub("^modules%.", "")
      pages[#pages + 1] = { name = name .. ".md", text = module_page(module) }
    end
  end
  local parts = { "# Commands\n" }
  for _, row in ipairs(commands) do
    parts[#parts + 1] = command_page(row.command, row.options)
  end
  pages[#pages + 1] = { name = "commands.md", text = table.concat(parts) }
  for _, found in ipairs(playbooks) do
    pages[#pages + 1] = { name = "playbook." .. found.name:gsub("%.lua$", "") .. ".md",
      text = playbook_page(found) }
  end
  pages[#pages + 1] = { name = "README.md", text = index_page(documented, playbooks) }
  return pages
end

return M
