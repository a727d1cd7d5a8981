--- The manual of a playbook: its own comments, and the plays that it declares.
local comment = require "kb.doc.comment"
local localfile = require "kb.localfile"
local play = require "kb.play"

local M = {}

local function lines_of(text)
  local lines = {}
  for line in (text .. "\n"):gmatch("(.-)\n") do
    lines[#lines + 1] = line
  end
  return lines
end

-- The comment that ends before a line, or begins at the first one.
local function comment_above(lines, at)
  local words = {}
  for n = at - 1, 1, -1 do
    local text = lines[n]:match("^%s*%-%-%s?(.*)$")
    if not text then
      break
    end
    table.insert(words, 1, text)
  end
  return table.concat(words, "\n")
end

local function head_of(lines)
  local n = 1
  while lines[n] and lines[n]:find("^%-%-") do
    n = n + 1
  end
  return comment_above(lines, n)
end

-- A comment's summary and body; an indented line, which shows a command, ends the summary.
local function parsed(text)
  local prose, code = text:match("^(.-)\n(%s%s.*)$")
  local found = comment.parse(prose or text)
  local body = found.body .. (code and "\n" .. code or "")
  return { summary = found.summary, body = (body:gsub("^\n", "")) }
end

local function described(declared, lines)
  local described_play = parsed(comment_above(lines, declared.line))
  for _, key in ipairs { "name", "hosts", "needs", "serial", "tags", "user" } do
    described_play[key] = declared[key]
  end
  return described_play
end

--- Read a playbook; nothing is connected.
-- @param path string
-- @return table: name (of the file), path, summary, body, includes (list of names of files), plays:
-- a list of tables with summary, body, name, hosts, needs, serial, tags, user; includes' own plays
-- are not among them
-- @raise kb.err of kind usage: it is not there, or no playbook
function M.read(path)
  local lines = lines_of(localfile.read(path))
  local loaded = play.load { path }
  local found = parsed(head_of(lines))
  found.name, found.path, found.includes, found.plays = path:match("[^/]*$"), path, {}, {}
  for _, declared in ipairs(loaded.plays) do
    if declared.file == path then
      table.insert(found.plays, described(declared, lines))
    end
  end
  for _, file in ipairs(loaded.files) do
    if file ~= path then
      table.insert(found.includes, file:match("[^/]*$"))
    end
  end
  return found
end

--- What there is to say of a play beside its comment.
-- @param described_play table: of M.read
-- @return list of { word, text }
function M.properties(described_play)
  local rows = { { "hosts", described_play.hosts } }
  if #described_play.needs > 0 then
    rows[#rows + 1] = { "needs", table.concat(described_play.needs, ", ") }
  end
  if described_play.serial then
    local serial = described_play.serial
    rows[#rows + 1] = { "at a time",
      type(serial) == "table" and table.concat(serial, ", ") or tostring(serial) }
  end
  if described_play.user then
    rows[#rows + 1] = { "as", described_play.user }
  end
  if #described_play.tags > 0 then
    rows[#rows + 1] = { "tags", table.concat(described_play.tags, ", ") }
  end
  return rows
end

return M
