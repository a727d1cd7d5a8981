-- The methods of Python's str. Letters beyond ASCII keep their case.
local data = require "kb.data"
local signature = require "kb.template.signature"
local text = require "kb.template.text"
local values = require "kb.template.values"

local M = {}

local fail = values.fail
local null = data.null

local function define(names, parameters, call)
  signature.define(M, names, parameters, call)
end

local function need_string(value, what)
  if type(value) ~= "string" then
    if values.is_undefined(value) then values.fail_undefined(value) end
    fail(("%s must be a string, not '%s'"):format(what, values.type_name(value)))
  end
  return value
end

local function given(value)
  if value ~= null then return value end
end

define("upper", "", string.upper)
define("lower casefold", "", string.lower)
define("swapcase", "", function(self)
  return (self:gsub("%a", function(letter)
    local upper = letter:upper()
    return upper == letter and letter:lower() or upper
  end))
end)
define("capitalize", "", function(self)
  return self:sub(1, 1):upper() .. self:sub(2):lower()
end)
define("title", "", function(self)
  return (self:gsub("([%a\128-\255])([%a\128-\255]*)", function(first, rest)
    return first:upper() .. rest:lower()
  end))
end)

-- The characters to strip, as a set; nil for white space.
local function stripper(side)
  return function(self, characters)
    characters = given(characters)
    local list = text.characters(self)
    local set = {}
    for _, character in ipairs(text.characters(characters or " \t\n\r\v\f")) do
      set[character] = true
    end
    local first, last = 1, #list
    if side ~= "right" then while set[list[first]] do first = first + 1 end end
    if side ~= "left" then
      while last >= first and set[list[last]] do last = last - 1 end
    end
    return table.concat(list, "", first, last)
  end
end

define("strip", "chars?", stripper "both")
define("lstrip", "chars?", stripper "left")
define("rstrip", "chars?", stripper "right")

local function split_blank(self, limit)
  local parts, at = {}, 1
  while true do
    local from = self:find("%S", at)
    if not from then return parts end
    if #parts == limit then
      parts[#parts + 1] = self:sub(from):gsub("%s+$", "")
      return parts
    end
    local to = self:find("%s", from) or #self + 1
    parts[#parts + 1] = self:sub(from, to - 1)
    at = to
  end
end

local function split_at(self, separator, limit)
  local parts, at = {}, 1
  while #parts ~= limit do
    local from, to = self:find(separator, at, true)
    if not from then break end
    parts[#parts + 1] = self:sub(at, from - 1)
    at = to + 1
  end
  parts[#parts + 1] = self:sub(at)
  return parts
end

local function check_separator(separator)
  if need_string(separator, "a separator") == "" then fail("empty separator") end
end

define("split", "sep? maxsplit?", function(self, separator, limit)
  separator, limit = given(separator), given(limit) or -1
  if not separator then return values.list(split_blank(self, limit)) end
  check_separator(separator)
  return values.list(split_at(self, separator, limit))
end)

local function reversed(list)
  local turned = {}
  for i = #list, 1, -1 do turned[#turned + 1] = list[i] end
  return turned
end

define("rsplit", "sep? maxsplit?", function(self, separator, limit)
  separator, limit = given(separator), given(limit) or -1
  local parts
  if separator then
    check_separator(separator)
    parts = split_at(self:reverse(), separator:reverse(), limit)
  else
    parts = split_blank(self:reverse(), limit)
  end
  for i, part in ipairs(parts) do parts[i] = part:reverse() end
  return values.list(reversed(parts))
end)

define("splitlines", "keepends?", function(self, keep)
  local lines = {}
  for line, ending in (self:gsub("\r\n", "\n"):gsub("\r", "\n")):gmatch("([^\n]*)(\n?)") do
    if line ~= "" or ending ~= "" then
      lines[#lines + 1] = keep and line .. ending or line
    end
  end
  return values.list(lines)
end)

define("join", "iterable", function(self, list)
  local items, count = require("kb.template.access").items(list)
  for i = 1, count do need_string(items[i], "an item to join") end
  return table.concat(items, self, 1, count)
end)

-- One prefix or suffix, or a tuple of them.
local function any_of(wanted, matches)
  if values.is_tuple(wanted) then
    for _, one in ipairs(wanted) do
      if matches(need_string(one, "a prefix or suffix")) then return true end
    end
    return false
  end
  return matches(need_string(wanted, "a prefix or suffix"))
end

-- Cut by Python's optional start and end, which count from 0.
local function window(self, from, to)
  from, to = given(from) or 0, given(to)
  local length = text.length(self)
  if from < 0 then from = math.max(0, length + from) end
  if to == nil then to = length elseif to < 0 then to = length + to end
  return text.sub(self, from + 1, to), from
end

define("startswith", "prefix start? end?", function(self, prefix, from, to)
  self = window(self, from, to)
  return any_of(prefix, function(one) return self:sub(1, #one) == one end)
end)
define("endswith", "suffix start? end?", function(self, suffix, from, to)
  self = window(self, from, to)
  return any_of(suffix, function(one) return one == "" or self:sub(-#one) == one end)
end)
define("removeprefix", "prefix", function(self, prefix)
  if self:sub(1, #prefix) == prefix then return self:sub(#prefix + 1) end
  return self
end)
define("removesuffix", "suffix", function(self, suffix)
  if suffix ~= "" and self:sub(-#suffix) == suffix then return self:sub(1, -#suffix - 1) end
  return self
end)

local function count_of(self, part)
  if part == "" then return text.length(self) + 1 end
  local count, at = 0, 1
  while true do
    local _, to = self:find(part, at, true)
    if not to then return count end
    count, at = count + 1, to + 1
  end
end

define("count", "sub start? end?", function(self, part, from, to)
  return count_of(window(self, from, to), need_string(part, "what to count"))
end)

local function place_of(self, byte)
  return text.length(self:sub(1, byte - 1))
end

local function find(self, part, from, to)
  local cut, start = window(self, from, to)
  local byte = cut:find(need_string(part, "what to find"), 1, true)
  return byte and place_of(cut, byte) + start or -1
end

local function find_last(self, part, from, to)
  local cut, start = window(self, from, to)
  need_string(part, "what to find")
  for byte = #cut - #part + 1, 1, -1 do
    if cut:sub(byte, byte + #part - 1) == part then return place_of(cut, byte) + start end
  end
  return -1
end

local function or_fail(finder)
  return function(...)
    local place = finder(...)
    if place < 0 then fail("substring not found") end
    return place
  end
end

define("find", "sub start? end?", find)
define("rfind", "sub start? end?", find_last)
define("index", "sub start? end?", or_fail(find))
define("rindex", "sub start? end?", or_fail(find_last))

-- At most `count` times; an empty old text matches between all characters.
define("replace", "old new count?", function(self, old, new, limit)
  limit = given(limit) or -1
  need_string(old, "what to replace")
  need_string(new, "the replacement")
  if old == "" then
    local characters, parts = text.characters(self), {}
    for i, character in ipairs(characters) do
      local here = limit < 0 or i <= limit
      parts[#parts + 1] = (here and new or "") .. character
    end
    if limit < 0 or #characters < limit then parts[#parts + 1] = new end
    return table.concat(parts)
  end
  return table.concat(split_at(self, old, limit), new)
end)

local function partition(finder, when_missing)
  return function(self, separator)
    check_separator(separator)
    local place = finder(self, separator)
    if place < 0 then return values.tuple(when_missing(self)) end
    return values.tuple {
      text.sub(self, 1, place), separator,
      text.sub(self, place + text.length(separator) + 1, text.length(self)),
    }
  end
end
define("partition", "sep", partition(find, function(self) return { self, "", "" } end))
define("rpartition", "sep", partition(find_last, function(self) return { "", "", self } end))

local function padding(place)
  return function(self, width, fill)
    local missing = width - text.length(self)
    if missing <= 0 then return self end
    fill = fill or " "
    local left = place(missing, width)
    return text.repeated(fill, left) .. self .. text.repeated(fill, missing - left)
  end
end
define("ljust", "width fillchar?", padding(function() return 0 end))
define("rjust", "width fillchar?", padding(function(missing) return missing end))
-- Python puts the odd one to the left when the width is odd.
define("center", "width fillchar?", padding(function(missing, width)
  return missing // 2 + (missing & width & 1)
end))
define("zfill", "width", function(self, width)
  local sign, digits = self:match("^([+-]?)(.*)$")
  return sign .. text.repeated("0", width - text.length(self)) .. digits
end)
define("expandtabs", "tabsize?", function(self, size)
  size = size or 8
  local column = 0
  return (self:gsub("([^\t\n]*)([\t\n]?)", function(run, ending)
    column = column + text.length(run)
    if ending == "\t" then
      ending = (" "):rep(size - column % size)
      column = column + #ending
    elseif ending == "\n" then
      column = 0
    end
    return run .. ending
  end))
end)

local function all_match(pattern)
  return function(self) return self:find("^" .. pattern .. "+$") ~= nil end
end
define("isdigit isdecimal isnumeric", "", all_match "%d")
define("isalpha", "", all_match "[%a\128-\255]")
define("isalnum", "", all_match "[%w\128-\255]")
define("isspace", "", all_match "%s")
define("isidentifier", "", function(self)
  return self:find("^[%a_\128-\255][%w_\128-\255]*$") ~= nil
end)
define("isupper", "", function(self) return self:find("%u") ~= nil and not self:find("%l") end)
define("islower", "", function(self) return self:find("%l") ~= nil and not self:find("%u") end)

define("format", "**", function(self, named, ...)
  return require("kb.template.format").braces(self, named, ...)
end)
-- Strings are bytes here already, so these two only pass them on.
define("encode decode", "encoding? errors?", function(self) return self end)

return M
