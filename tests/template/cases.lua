--- Read files of cases: what to render, with which context and templates.
-- A line `context JSON` sets the variables of the cases after it. A line
-- `> TEXT` is a template of one line without its end. Lines between `<<<` and
-- `>>>` are one of several; `file NAME <<<` makes them a template that cases may
-- include instead. `%` starts a comment.
local data = require "kb.data"
local json = require "kb.json"

local M = {}

local Reader = {}
Reader.__index = Reader

function Reader:add(template)
  table.insert(self.cases, data.map {
    { "template", template }, { "context", self.context }, { "files", data.copy(self.files) },
    { "at", ("%s:%d"):format(self.path, self.line) },
  })
end

function Reader:block(next_line)
  local lines = {}
  for line in next_line do
    self.line = self.line + 1
    if line == ">>>" then return table.concat(lines, "\n") .. "\n" end
    lines[#lines + 1] = line
  end
  error(self.path .. ": a block is not closed by '>>>'")
end

function Reader:read(line, next_line)
  if line == "" or line:find("^%%") then return end
  local one, context, file = line:match("^> (.*)$"), line:match("^context (.*)$"),
    line:match("^file (%S+) <<<$")
  if one then
    self:add(one)
  elseif line == "<<<" then
    self:add(self:block(next_line))
  elseif context then
    self.context = assert(json.decode(context))
    self.files = data.map()
  elseif file then
    self.files[file] = self:block(next_line)
  else
    error(("%s:%d: not a case: %s"):format(self.path, self.line, line))
  end
end

--- Read the cases of a file.
-- @param path string
-- @param cases list: they are added to it
function M.read(path, cases)
  local reader = setmetatable(
    { path = path, line = 0, cases = cases, context = data.map(), files = data.map() }, Reader)
  local next_line = io.lines(path)
  for line in next_line do
    reader.line = reader.line + 1
    reader:read(line, next_line)
  end
end

return M
