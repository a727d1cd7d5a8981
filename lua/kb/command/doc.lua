--- kbrun doc: the manual of operations, facts and functions.
local common = require "kb.command.common"
local doc = require "kb.doc"
local help = require "kb.help"
local playbook = require "kb.doc.playbook"
local suggest = require "kb.suggest"
local sys = require "kb.core.sys"
local term = require "kb.term"
local text = require "kb.doc.text"

local function all_commands()
  local cli = require "kb.cli" -- it loads this file
  local list = {}
  for _, command in ipairs(cli.commands()) do
    list[#list + 1] = { command = command, options = cli.options(command) }
  end
  return list
end

local function write_markdown(dir, paths)
  local markdown, playbooks = require "kb.doc.markdown", {}
  for i, path in ipairs(paths) do
    playbooks[i] = playbook.read(path)
  end
  local ok, message = sys.mkdir(dir)
  for _, page in ipairs(markdown.pages(doc.modules(), all_commands(), playbooks)) do
    if ok then
      ok, message = sys.write_file(dir .. "/" .. page.name, page.text, 420) -- 0644
    end
  end
  if not ok then
    return nil, message
  end
  return common.exit.done
end

-- All manuals that the word may mean: a name may be that of a command too.
local function manuals(word)
  local list, width = {}, term.width(1)
  for _, row in ipairs(all_commands()) do
    if row.command.name == word then
      list[#list + 1] = help.command(row.command, row.options, width)
    end
  end
  for _, it in ipairs(doc.find(word)) do
    list[#list + 1] = it.entry and text.entry(it.entry, width) or text.module(it.module, width)
  end
  return list
end

local function show(word)
  if word:find("%.lua$") then
    io.write(text.playbook(playbook.read(word), term.width(1)))
    return common.exit.done
  end
  local list = manuals(word)
  if #list == 0 then
    return nil, ("nothing is called %s%s"):format(word, suggest.hint(word, doc.names()))
  end
  io.write(table.concat(list, "\n"))
  return common.exit.done
end

local function run(opts, args)
  if opts.markdown then
    return write_markdown(opts.markdown, args)
  elseif opts.man then
    io.write(require("kb.doc.man").page(all_commands()))
    return common.exit.done
  elseif #args == 0 then
    io.write(text.list(doc.modules(), term.width(1)))
    return common.exit.done
  end
  for _, word in ipairs(args) do
    local status, message = show(word)
    if not status then
      return nil, message
    end
  end
  return common.exit.done
end

return {
  name = "doc",
  summary = "show the manual of operations, facts, functions and commands",
  description = [[
Without a name, lists everything with its first sentence. A name may be a module
("files"), an operation or fact ("files.template"), a function ("kb.data.map", or
its end, "data.map"), a command, or a playbook's file ("playbooks/site.lua").]],
  arguments = {
    { name = "NAME", optional = true, list = true, help = "what to explain" },
  },
  options = {
    { long = "markdown", value = "DIR", help = "write the whole reference there, as Markdown, "
      .. "with a page for each playbook that is named" },
    { long = "man", help = "print the manual page kbrun.1" },
  },
  run = run,
}
