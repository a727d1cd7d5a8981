-- From the text of a template to the flat sequence of what it is made of:
-- text, outputs and tags, with Jinja's rules of white space applied.
local lpeg = require "lpeg"
local tags = require "kb.template.tags"

local P, S = lpeg.P, lpeg.S
local C, Cc, Cp = lpeg.C, lpeg.Cc, lpeg.Cp

local M = {}

local blank = S " \t\n\r\v\f" ^ 0
local opening = (1 - (P "{{" + P "{%" + P "{#")) ^ 0 * Cp()
  * (P "{{" * Cc "output" + P "{%" * Cc "tag" + P "{#" * Cc "comment")
  * (P "-" * Cc "strip" + P "+" * Cc "keep") ^ -1 * Cp()

local tag_name = blank * Cp() * C((lpeg.R("az", "AZ", "09") + P "_") ^ 1) * Cp()
local output_end = blank * (P "-}}" * blank + P "}}") * Cp()
local raw_begin = blank * P "raw" * blank * (P "-%}" * blank + P "%}") * Cp()

-- The end of a tag or comment also takes the line's end when blocks are
-- trimmed, unless a `+` says not to.
local function ending(mark, trim)
  local newline = trim and P "\n" ^ -1 or P(true)
  return P("-" .. mark) * blank + P("+" .. mark) + P(mark) * newline
end

local function build_endings(trim)
  local tag_end = blank * ending("%}", trim) * Cp()
  local comment_end = (1 - ending("#}", trim)) ^ 0 * ending("#}", trim) * Cp()
  local endraw = Cp() * P "{%" * (C(S "-+") + Cc "") * blank * P "endraw" * tag_end
  return {
    tag = tag_end,
    comment = comment_end,
    raw = (1 - endraw) ^ 0 * endraw,
  }
end
local ENDINGS = { [true] = build_endings(true), [false] = build_endings(false) }

local Scanner = {}
Scanner.__index = Scanner

local function refuse(at, message)
  error({ at = at, message = message }, 0)
end

function Scanner:add(piece)
  self.pieces[#self.pieces + 1] = piece
end

-- The text before a tag, less what the tag's sign or lstrip_blocks takes off.
function Scanner:add_text(text, at, what, sign)
  if sign == "strip" then
    text = text:gsub("%s+$", "")
  elseif sign ~= "keep" and self.options.lstrip_blocks and what ~= "output" then
    local before, indent = text:match("^(.-)([^\n]*)$")
    local at_line_start = before ~= "" or self.line_start
    if at_line_start and not indent:find("%S") then text = before end
  end
  if text ~= "" then self:add { kind = "text", at = at, text = text } end
end

function Scanner:close(pattern, at, what)
  local after = pattern:match(self.text, at)
  if not after then
    if at > #self.text then refuse(at, "unexpected end of the template, expected " .. what) end
    local found = self.text:match("^%s*(%S+)", at) or "the end"
    refuse(at, ("unexpected '%s', expected %s"):format(found, what))
  end
  return after
end

function Scanner:output(at)
  local piece, after = tags.output:match(self.text, at)
  self:add(piece)
  return self:close(output_end, after, "'}}'")
end

function Scanner:comment(at, opened)
  local after = self.endings.comment:match(self.text, at)
  if not after then refuse(opened, "this comment is not closed by '#}'") end
  return after
end

function Scanner:raw(at, opened)
  local from, sign, after = self.endings.raw:match(self.text, at)
  if not from then refuse(opened, "'raw' is not closed by 'endraw'") end
  local signs = { ["-"] = "strip", ["+"] = "keep" }
  self.line_start = self.text:sub(at - 1, at - 1) == "\n"
  self:add_text(self.text:sub(at, from - 1), at, "tag", signs[sign])
  return after
end

function Scanner:tag(at, opened)
  local after_raw = raw_begin:match(self.text, at)
  if after_raw then return self:raw(after_raw, opened) end
  local name_at, name, after_name = tag_name:match(self.text, at)
  if not name then refuse(opened, "expected the name of a tag") end
  local pattern = tags.pattern(name)
  if not pattern then refuse(name_at, ("unknown tag '%s'"):format(name)) end
  local piece, after = pattern:match(self.text, after_name)
  piece.at = name_at
  self:add(piece)
  return self:close(self.endings.tag, after, "'%}'")
end

function Scanner:run()
  local at = 1
  while true do
    local from, what, sign, after = opening:match(self.text, at)
    if type(sign) == "number" then sign, after = nil, sign end
    if not from then break end
    self:add_text(self.text:sub(at, from - 1), at, what, sign)
    at = self[what](self, after, from)
    self.line_start = self.text:sub(at - 1, at - 1) == "\n"
  end
  if at <= #self.text then
    self:add { kind = "text", at = at, text = self.text:sub(at) }
  end
  return self.pieces
end

--- Bring line ends to "\n" and drop the last one, as Jinja does on loading.
function M.normalise(text)
  text = text:gsub("\r\n", "\n"):gsub("\r", "\n")
  return (text:gsub("\n$", ""))
end

--- Cut a template into its pieces.
-- @param text string: normalised
-- @param options table: `trim_blocks`, `lstrip_blocks`
-- @return list of nodes
-- @raise `{ at = position, message = text }`
function M.scan(text, options)
  local scanner = setmetatable({
    text = text, options = options, pieces = {}, line_start = true,
    endings = ENDINGS[options.trim_blocks and true or false],
  }, Scanner)
  return scanner:run()
end

return M
