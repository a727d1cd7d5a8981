-- How a string stands in YAML as the dumpers of PyYAML and libyaml write it:
-- which of the three styles it takes, and how it is folded.
local regex = require "kb.template.regex"

local M = {}

-- Plain text that YAML 1.1 reads as something other than a string.
local IMPLICIT = {
  "yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF",
  "~|null|Null|NULL|<<|=",
  "[-+]?(?:[0-9][0-9_]*)\\.[0-9_]*(?:[eE][-+][0-9]+)?|\\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
    .. "|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\\.[0-9_]*|[-+]?\\.(?:inf|Inf|INF)|\\.(?:nan|NaN|NAN)",
  "[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+"
    .. "|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+",
  "[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \\t]+)[0-9]{1,2}"
    .. ":[0-9]{2}:[0-9]{2}(?:\\.[0-9]*)?(?:[ \\t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?",
}

local function looks_typed(text)
  if #text > 100 or text:find("^[%a/]") and not text:find("^[yYnNtTfFoO]") then return false end
  for _, pattern in ipairs(IMPLICIT) do
    if regex.compile(pattern):exec(text, 1, "whole") then return true end
  end
  return false
end

local function has_indicators(text, in_flow)
  if text:find("^%-%-%-") or text:find("^%.%.%.") then return true end
  if text:find("^[#,%[%]{}&*!|>'\"%%@`]") then return true end
  if text:find("^[-?:]%s") or text:find("^[-?:]$") then return true end
  if text:find(":%s") or text:find(":$") or text:find("%s#") then return true end
  return in_flow and (text:find("^[?:]") or text:find("[,?%[%]{}:]")) ~= nil
end

-- Control characters, and what is no UTF-8, need the escapes of double quotes.
local function has_special(text)
  return text:find("[%z\1-\9\11-\31\127]") ~= nil or not utf8.len(text)
    or text:find("\194[\128-\132\134-\159]") ~= nil or text:find("\239\187\191") ~= nil
end

--- Choose the style of a string.
-- @return "plain", "single" or "double"
function M.style(text, in_flow, is_key)
  if text == "" then return "single" end
  local multiline = text:find("\n", 1, true) ~= nil
  if has_special(text) or text:find(" \n") or is_key and multiline then return "double" end
  local broken = multiline or text:find("^ ") or text:find(" $")
  if not broken and not has_indicators(text, in_flow)
    and not looks_typed(text) then
    return "plain"
  end
  if text:find("\n ") then return "double" end
  return "single"
end

local writers = {}

-- A single space may become a line's end once the line is wider than it should be.
local function may_fold(writer, text, at, fold)
  return fold and at > 1 and at < #text and writer.column > writer.width
    and text:byte(at - 1) ~= 32 and text:byte(at + 1) ~= 32
end

function writers.plain(writer, text, indent, fold)
  for at, word, space in text:gmatch("()([^ ]*)( ?)") do
    writer:put(word)
    if space ~= "" then
      local place = at + #word
      if may_fold(writer, text, place, fold) then writer:newline(indent) else writer:put(space) end
    end
  end
end

function writers.single(writer, text, indent, fold)
  writer:put("'")
  local at, broken = 1, false
  while at <= #text do
    local character = text:sub(at, at)
    if character == "\n" then
      if not broken then writer:newline(0) end
      writer:newline(0)
      broken = true
    else
      if broken then writer:put((" "):rep(indent)) end
      broken = false
      if character == " " and may_fold(writer, text, at, fold) then
        writer:newline(indent)
      else
        character = text:match("^[^ \n']+", at) or character
        writer:put(character == "'" and "''" or character)
      end
    end
    at = at + #character
  end
  if broken then writer:put((" "):rep(indent)) end
  writer:put("'")
end

local ESCAPES = {
  ["\0"] = "\\0", ["\a"] = "\\a", ["\b"] = "\\b", ["\t"] = "\\t", ["\n"] = "\\n", ["\v"] = "\\v",
  ["\f"] = "\\f", ["\r"] = "\\r", ["\27"] = "\\e", ['"'] = '\\"', ["\\"] = "\\\\",
}

local function escaped(character)
  if ESCAPES[character] then return ESCAPES[character] end
  local point = #character == 1 and character:byte() or utf8.codepoint(character)
  if point < 32 or point >= 127 and point < 160 then return ("\\x%02X"):format(point) end
  if point == 0xFEFF then return "\\uFEFF" end
  return character
end

function writers.double(writer, text, indent, fold)
  writer:put('"')
  local valid = utf8.len(text)
  local at = 1
  while at <= #text do
    local character = valid and text:match("^" .. utf8.charpattern, at) or text:sub(at, at)
    local after_space = text:byte(at - 1) == 32
    if character == " " and fold and not after_space and at > 1 and at < #text
      and writer.column > writer.width then
      writer:newline(indent)
      if text:sub(at + 1, at + 1) == " " then writer:put("\\") end
    else
      writer:put(escaped(character))
    end
    at = at + #character
  end
  writer:put('"')
end

--- Write a string in the style it needs.
-- @param writer table: `put(text)`, `newline(indent)`, `column`, `width`
-- @param text string
-- @param indent integer: where its further lines start
-- @param in_flow boolean: inside brackets
-- @param is_key boolean: as a key, which stays on one line
function M.write(writer, text, indent, in_flow, is_key)
  writers[M.style(text, in_flow, is_key)](writer, text, indent, not is_key)
end

return M
