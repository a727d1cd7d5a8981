--- Secrets: values that no output shows.
-- A secret prints as ***, and its text, also in the forms in which it tends to travel (base64,
-- URL-encoded, quoted for a shell or JSON), is masked in everything that kbrun prints.

local crypto = require "kb.core.crypto"

local M = {}

local texts = setmetatable({}, { __mode = "k" }) -- secret -> its text
local forms = {} -- every form of every secret -> true

-- Shorter ones would mask innocent words everywhere; they are refused.
local SHORTEST = 4

-- A cluster's keys have thousands of forms, so they are found by how they begin: their first
-- SHORTEST bytes -> the forms, the longest first; and shorter beginnings -> true.
local by_head, beginnings = {}, {}

local Secret = { __name = "kb.secret" }
Secret.__index = function(_, key)
  error(("a secret has no field '%s': pass it on whole"):format(tostring(key)), 2)
end
Secret.__tostring = function()
  return "***"
end
Secret.__concat = function(a, b)
  return M.new(M.reveal(a) .. M.reveal(b))
end
Secret.__len = function()
  error("the length of a secret is part of it", 2)
end
Secret.__eq = function(a, b)
  return texts[a] == texts[b]
end

local function remember(form)
  if #form < SHORTEST or forms[form] then
    return
  end
  forms[form] = true
  local head = form:sub(1, SHORTEST)
  by_head[head] = by_head[head] or {}
  table.insert(by_head[head], form)
  table.sort(by_head[head], function(a, b)
    return #a > #b
  end)
  for n = 1, SHORTEST - 1 do
    beginnings[head:sub(1, n)] = true
  end
end

-- Inside a longer base64 text the secret may start at any of three offsets; what surrounds it
-- changes the first and last letters, so those are left out, unless the text ends with the secret.
local function remember_base64(text)
  for offset = 0, 2 do
    local padded = crypto.base64_encode(("\0"):rep(offset) .. text)
    local encoded = padded:gsub("=+$", "")
    local first = offset == 0 and 1 or offset + 2
    local last = (#text + offset) % 3 == 0 and #encoded or #encoded - 1
    if last - first >= 5 then
      for _, to in ipairs { last, #encoded, #padded } do
        remember(padded:sub(first, to))
        remember((padded:sub(first, to):gsub("+", "-"):gsub("/", "_")))
      end
    end
  end
end

-- base64(1) and openssl break long texts into lines of 76 and 64 letters.
local function remember_base64_lines(text)
  local encoded = crypto.base64_encode(text)
  for _, width in ipairs { 76, 64 } do
    for from = 1, #encoded > width and #encoded or 0, width do
      remember(encoded:sub(from, from + width - 1))
    end
  end
end

local function remember_all(given)
  local text = given:match("^%s*(.-)%s*$") -- so that a line remains a line
  text = #text < SHORTEST and given or text
  remember(text)
  for _, encoded in ipairs { text, text .. "\n", given } do
    remember_base64(encoded)
    remember_base64_lines(encoded)
  end
  remember((text:gsub("[^%w%-._~]", function(c)
    return ("%%%02X"):format(c:byte())
  end)))
  remember((text:gsub("'", "'\\''")))
  remember((text:gsub('[\\"$`]', "\\%0")))
  remember((text:gsub('["\\]', "\\%0"):gsub("\n", "\\n")))
  for line in text:gmatch("[^\n]+") do -- a key of many lines is shown line by line
    if line ~= text and #line >= 8 and not line:find("^%-%-%-%-%-") then
      remember(line)
    end
  end
end

--- Make a secret of a text.
-- @param text string: at least 4 bytes, or it could not be masked without masking innocent words
-- @return secret
function M.new(text)
  if M.is(text) then
    return text
  end
  if type(text) ~= "string" then
    error(("a secret is made of a string, got %s"):format(type(text)), 2)
  end
  if #text < SHORTEST then
    error(("a secret of fewer than %d letters cannot be kept out of output"):format(SHORTEST), 2)
  end
  local s = setmetatable({}, Secret)
  texts[s] = text
  remember_all(text)
  return s
end

--- Whether a value is a secret.
-- @param value any
-- @return boolean
function M.is(value)
  return getmetatable(value) == Secret
end

--- The text of a secret, for the few places that hand it over; other values are returned as they
-- are.
-- @param value any
-- @return any
function M.reveal(value)
  if M.is(value) then
    return texts[value]
  end
  return value
end

-- The length of the longest form at a place of the text; true when the text ends before it is
-- known, for which more is to come.
local function form_at(text, at, more)
  local head = text:sub(at, at + SHORTEST - 1)
  if #head < SHORTEST then
    return more and beginnings[head]
  end
  for _, form in ipairs(by_head[head] or {}) do
    local there = text:sub(at, at + #form - 1)
    if there == form then
      return #form
    elseif more and #there < #form and form:sub(1, #there) == there then
      return true
    end
  end
end

-- The text masked; with more to come also its end that might be the beginning of a secret.
local function scan(text, more)
  local out, from, at = {}, 1, 1
  while at <= #text do
    local length = form_at(text, at, more)
    if length == true then
      break
    elseif length then
      out[#out + 1] = text:sub(from, at - 1) .. "***"
      at = at + length
      from = at
    else
      at = at + 1
    end
  end
  out[#out + 1] = text:sub(from, at - 1)
  return table.concat(out), text:sub(at)
end

--- Mask every known secret in a text.
-- @param text string
-- @return string
function M.mask(text)
  return next(forms) and (scan(text, false)) or text
end

--- Mask a text that comes in pieces: what might be the beginning of a secret is held back until
-- the next piece decides.
-- @return function(chunk) -> string; called with nil at the end it returns what was held back
function M.masker()
  local held = ""
  return function(chunk)
    local text
    text, held = scan(held .. (chunk or ""), chunk ~= nil)
    return text
  end
end

return M
