-- From a regular expression as Python writes it to a tree of nodes:
-- { kind = "char" | "any" | "set" | "sequence" | "choice" | "group" | "repeat" |
--   "start" | "end" | ... }.
local values = require "kb.template.values"

local M = {}

local Parser = {}
Parser.__index = Parser

function Parser:refuse(message)
  values.fail(("regular expression '%s': %s at character %d"):format(
    self.pattern, message, self.at))
end

function Parser:peek(length)
  return self.pattern:sub(self.at, self.at + (length or 1) - 1)
end

function Parser:accept(text)
  if self:peek(#text) ~= text then return false end
  self.at = self.at + #text
  return true
end

function Parser:expect(text)
  if not self:accept(text) then self:refuse(("expected '%s'"):format(text)) end
end

function Parser:match(pattern)
  local found, after = self.pattern:match("^(" .. pattern .. ")()", self.at)
  if found then self.at = after end
  return found
end

-- One character, of several bytes if it is so in UTF-8.
function Parser:character()
  local character = self:match "[\194-\244][\128-\191]*" or self:match "."
    or self:match "[\0-\255]"
  if not character then self:refuse("unexpected end") end
  return character
end

-- Classes as functions of a code point. Beyond ASCII everything counts as part
-- of a word, but for the spaces that are there.
local WIDE_SPACES = { [0x85] = true, [0xA0] = true, [0x2028] = true, [0x2029] = true,
  [0x3000] = true }

local function is_space(point)
  return point == 32 or point >= 9 and point <= 13 or point >= 28 and point <= 31
    or WIDE_SPACES[point] or point >= 0x2000 and point <= 0x200A
end

local function is_digit(point)
  return point >= 48 and point <= 57
end

local function is_word(point)
  return is_digit(point) or point >= 65 and point <= 90 or point >= 97 and point <= 122
    or point == 95 or point >= 128 and not is_space(point)
end
M.is_word = is_word

local function negated(class)
  return function(point) return not class(point) end
end

local CLASSES = {
  d = is_digit, w = is_word, s = is_space,
  D = negated(is_digit), W = negated(is_word), S = negated(is_space),
}
local CONTROLS = { n = "\n", t = "\t", r = "\r", f = "\f", v = "\v", a = "\a" }

-- A character written as an escape; the backslash and the letter are read.
function Parser:escaped_character(letter)
  if CONTROLS[letter] then return CONTROLS[letter] end
  local lengths = { x = 2, u = 4, U = 8 }
  if lengths[letter] then
    local hex = self:match(("%x"):rep(lengths[letter]))
    if not hex then self:refuse("incomplete escape") end
    return utf8.char(tonumber(hex, 16))
  end
  if letter == "0" then
    return utf8.char(tonumber(self:match "[0-7][0-7]?" or "0", 8))
  end
  if letter:find("[%a%d]") then self:refuse(("bad escape '\\%s'"):format(letter)) end
  return letter
end

-- One end of a range inside brackets, or a class.
function Parser:set_item()
  if not self:accept "\\" then return self:character() end
  local letter = self:character()
  if CLASSES[letter] then return nil, CLASSES[letter] end
  if letter == "b" then return "\b" end
  return self:escaped_character(letter)
end

function Parser:set()
  local set = { kind = "set", negated = self:accept "^", ranges = {}, classes = {} }
  local first = true
  while first or self:peek() ~= "]" do
    if self.at > #self.pattern then self:refuse("unterminated set") end
    first = false
    local low, class = self:set_item()
    if class then
      table.insert(set.classes, class)
    else
      local high = low
      if self:peek() == "-" and self:peek(2) ~= "-]" and self.at < #self.pattern then
        self.at = self.at + 1
        high = self:set_item() or self:refuse("bad range")
      end
      low, high = utf8.codepoint(low), utf8.codepoint(high)
      if high < low then self:refuse("bad range") end
      table.insert(set.ranges, { low, high })
    end
  end
  self:expect "]"
  return set
end

local POSITIONS = { A = "text_start", Z = "text_end", b = "boundary", B = "no_boundary" }

function Parser:escape()
  local digits = self:match "[1-9]%d?"
  if digits then return { kind = "reference", group = math.tointeger(tonumber(digits)) } end
  local letter = self:character()
  if POSITIONS[letter] then return { kind = POSITIONS[letter] } end
  if CLASSES[letter] then
    return { kind = "set", ranges = {}, classes = { CLASSES[letter] } }
  end
  return { kind = "char", text = self:escaped_character(letter) }
end

local FLAGS = { i = "ignorecase", m = "multiline", s = "dotall", x = "verbose", a = "ascii",
  u = "unicode" }

-- `(?flags)` or `(?flags:...)`; flags hold until the end of their group.
function Parser:flags()
  local on, off = self:match "[imsxau]*", ""
  if self:accept "-" then off = self:match "[imsx]*" end
  local outer = self.options
  local options = setmetatable({}, { __index = outer })
  for letter in on:gmatch(".") do options[FLAGS[letter]] = true end
  for letter in off:gmatch(".") do options[FLAGS[letter]] = false end
  if options.verbose then self:refuse("the flag 'x' is not supported") end
  self.options = options
  if self:accept ")" then return { kind = "sequence" } end
  self:expect ":"
  local inner = self:choice()
  self:expect ")"
  self.options = outer
  return inner
end

function Parser:capture(name)
  self.groups = self.groups + 1
  local group = { kind = "group", group = self.groups }
  if name then
    if self.names[name] then self:refuse(("group '%s' is there twice"):format(name)) end
    self.names[name] = group.group
  end
  local options = self.options
  group.inner = self:choice()
  self.options = options
  self:expect ")"
  return group
end

local LOOKS = {
  { "?=", "ahead" }, { "?!", "not_ahead" }, { "?<=", "behind" }, { "?<!", "not_behind" },
}

function Parser:parenthesis()
  for _, look in ipairs(LOOKS) do
    if self:accept(look[1]) then
      local inner = self:choice()
      self:expect ")"
      return { kind = look[2], inner = inner }
    end
  end
  if self:accept "?:" then
    local options = self.options
    local inner = self:choice()
    self.options = options
    self:expect ")"
    return inner
  elseif self:accept "?P<" then
    local name = self:match "[%a_][%w_]*" or self:refuse("expected the name of a group")
    self:expect ">"
    return self:capture(name)
  elseif self:accept "?P=" then
    local name = self:match "[%a_][%w_]*"
    self:expect ")"
    if not self.names[name] then self:refuse("unknown group") end
    return { kind = "reference", group = self.names[name], ignorecase = self.options.ignorecase }
  elseif self:accept "?#" then
    self:match "[^)]*"
    self:expect ")"
    return { kind = "sequence" }
  elseif self:accept "?" then
    return self:flags()
  end
  return self:capture()
end

function Parser:atom()
  if self:accept "(" then return self:parenthesis() end
  if self:accept "[" then return self:set() end
  if self:accept "." then return { kind = "any", dotall = self.options.dotall } end
  if self:accept "^" then
    return { kind = self.options.multiline and "line_start" or "text_start" }
  end
  if self:accept "$" then
    return { kind = self.options.multiline and "line_end" or "last_line_end" }
  end
  if self:accept "\\" then return self:escape() end
  if self:peek():find("[*+?]") then self:refuse("nothing to repeat") end
  return { kind = "char", text = self:character() }
end

local SIGNS = { ["*"] = { 0, math.huge }, ["+"] = { 1, math.huge }, ["?"] = { 0, 1 } }

function Parser:bounds()
  local sign = self:match "[*+?]"
  if sign then return SIGNS[sign][1], SIGNS[sign][2] end
  local low, comma, high = self.pattern:match("^{(%d*)(,?)(%d*)}", self.at)
  if not low or low == "" and comma == "" then return nil end
  self:match "{%d*,?%d*}"
  local from = math.tointeger(tonumber(low)) or 0
  local to = comma == "" and from or math.tointeger(tonumber(high)) or math.huge
  if to < from then self:refuse("min repeat greater than max repeat") end
  return from, to
end

function Parser:repeated()
  local atom = self:atom()
  atom.ignorecase = self.options.ignorecase
  local from, to = self:bounds()
  if not from then return atom end
  local lazy = self:accept "?"
  if self:peek():find("[*+?]") and self:peek() ~= "" then self:refuse("multiple repeat") end
  return { kind = "repeat", inner = atom, from = from, to = to, lazy = lazy }
end

function Parser:sequence()
  local sequence = { kind = "sequence" }
  while self.at <= #self.pattern and not self:peek():find("[|)]") do
    sequence[#sequence + 1] = self:repeated()
  end
  return sequence
end

function Parser:choice()
  local choice = { kind = "choice", self:sequence() }
  while self:accept "|" do choice[#choice + 1] = self:sequence() end
  return #choice == 1 and choice[1] or choice
end

--- Parse a regular expression.
-- @param pattern string
-- @param options table: `ignorecase`, `multiline`, `dotall`
-- @return the tree, how many groups it has, and their numbers by name
function M.parse(pattern, options)
  local parser = setmetatable(
    { pattern = pattern, at = 1, options = options, groups = 0, names = {} }, Parser)
  local node = parser:choice()
  if parser.at <= #pattern then parser:refuse("unbalanced parenthesis") end
  return node, parser.groups, parser.names
end

return M
