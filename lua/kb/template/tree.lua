-- From the flat pieces of a template to its tree: bodies get their tags.
local M = {}

local function refuse(at, message)
  error({ at = at, message = message }, 0)
end

-- Which tags may go on or end the body of which.
local CLOSERS = {
  ["for"] = { ["else"] = true, ["endfor"] = true },
  ["if"] = { ["elif"] = true, ["else"] = true, ["endif"] = true },
  ["set"] = { ["endset"] = true },
  ["macro"] = { ["endmacro"] = true },
  ["call"] = { ["endcall"] = true },
  ["filter"] = { ["endfilter"] = true },
  ["block"] = { ["endblock"] = true },
  ["with"] = { ["endwith"] = true },
  ["autoescape"] = { ["endautoescape"] = true },
}

local IS_CLOSER = {}
for _, closers in pairs(CLOSERS) do
  for closer in pairs(closers) do IS_CLOSER[closer] = true end
end

local Reader = {}
Reader.__index = Reader

-- Read nodes up to a tag that closes the opener, or to the end without one.
-- Returns the body and the closing tag.
function Reader:body(opener, closers)
  local body = {}
  while true do
    local piece = self.pieces[self.place]
    if not piece then
      if opener then
        refuse(opener.at, ("'%s' is not closed by 'end%s'"):format(opener.kind, opener.kind))
      end
      return body
    end
    self.place = self.place + 1
    if closers and closers[piece.kind] then return body, piece end
    if IS_CLOSER[piece.kind] then self:refuse_closer(piece, opener) end
    body[#body + 1] = self:node(piece)
  end
end

function Reader:refuse_closer(piece, opener)
  local message = ("unexpected '%s'"):format(piece.kind)
  if opener then
    message = message .. (", the '%s' of line %d is still open"):format(
      opener.kind, self.line_of(opener.at))
  end
  refuse(piece.at, message)
end

local readers = {}

function Reader:node(piece)
  local reader = readers[piece.kind]
  if reader then reader(self, piece) end
  return piece
end

local function read_plain(self, piece)
  piece.body = self:body(piece, CLOSERS[piece.kind])
end

for _, kind in ipairs { "filter", "with", "autoescape" } do
  readers[kind] = read_plain
end

-- What becomes a function of its own cannot leave a loop around it.
local function outside_loops(self, read)
  local loops = self.loops
  self.loops = 0
  local closer = read()
  self.loops = loops
  return closer
end

for _, kind in ipairs { "macro", "call" } do
  readers[kind] = function(self, piece)
    outside_loops(self, function() read_plain(self, piece) end)
  end
end

readers["set"] = function(self, piece)
  if not piece.value then read_plain(self, piece) end
end

readers["for"] = function(self, piece)
  self.loops = self.loops + 1
  local closer
  piece.body, closer = self:body(piece, CLOSERS["for"])
  self.loops = self.loops - 1
  if closer.kind == "else" then
    piece.otherwise = self:body(piece, { ["endfor"] = true })
  end
end

readers["if"] = function(self, piece)
  local body, closer = self:body(piece, CLOSERS["if"])
  piece.branches = { { test = piece.test, body = body } }
  while closer.kind == "elif" do
    local test = closer.test
    body, closer = self:body(piece, CLOSERS["if"])
    table.insert(piece.branches, { test = test, body = body })
  end
  if closer.kind == "else" then
    piece.otherwise = self:body(piece, { ["endif"] = true })
  end
end

readers["block"] = function(self, piece)
  if self.blocks[piece.name] then
    refuse(piece.at, ("block '%s' is there twice"):format(piece.name))
  end
  self.blocks[piece.name] = piece
  local closer = outside_loops(self, function()
    local body, ending = self:body(piece, CLOSERS["block"])
    piece.body = body
    return ending
  end)
  if closer.name and closer.name ~= piece.name then
    refuse(closer.at, ("'endblock %s' closes block '%s'"):format(closer.name, piece.name))
  end
end

local function need_loop(self, piece)
  if self.loops == 0 then refuse(piece.at, ("'%s' outside of a loop"):format(piece.kind)) end
end
readers["break"], readers["continue"] = need_loop, need_loop

--- Build the tree of a template.
-- @param pieces list of nodes, from the scanner
-- @param line_of function(position): the line of a position
-- @return table: `{ body = nodes, blocks = { [name] = node } }`
-- @raise `{ at = position, message = text }`
function M.build(pieces, line_of)
  local reader = setmetatable(
    { pieces = pieces, place = 1, blocks = {}, loops = 0, line_of = line_of }, Reader)
  local body = reader:body()
  return { body = body, blocks = reader.blocks }
end

return M
