--- Secrets: values that no output shows.
-- A secret prints as ***, and its text, also in the forms in which it tends to travel (base64,
-- URL-encoded, quoted for a shell or JSON), is masked in everything that kbrun prints.

local crypto = require "kb.core.crypto"

local M = {}

local texts = setmetatable({}, { __mode = "k" }) -- secret -> its text
local forms = {} -- every form of every secret -> true
local longest = 0

-- Shorter ones would mask innocent words everywhere; they are refused.
local SHORTEST = 4

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
  if #form >= SHORTEST and not forms[form] then
    forms[form] = true
    longest = math.max(longest, #form)
  end
end

-- Inside a longer base64 text the secret may start at any of three offsets; what surrounds it
-- changes the first and last letters, so those are left out.
local function remember_base64(text)
  for offset = 0, 2 do
    local encoded = crypto.base64_encode(("\0"):rep(offset) .. text):gsub("=+$", "")
    local first = offset == 0 and 1 or offset + 2
    local last = (#text + offset) % 3 == 0 and #encoded or #encoded - 1
    local core = encoded:sub(first, last)
    if #core >= 6 then
      remember(core)
      remember((core:gsub("+", "-"):gsub("/", "_")))
    end
  end
end

local function remember_all(text)
  remember(text)
  remember_base64(text)
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

local function next_match(text, from)
  local first, last
  for form in pairs(forms) do
    local a, b = text:find(form, from, true)
    if a and (not first or a < first or a == first and b > last) then
      first, last = a, b
    end
  end
  return first, last
end

--- Mask every known secret in a text.
-- @param text string
-- @return string
function M.mask(text)
  local out, from = {}, 1
  while next(forms) do
    local first, last = next_match(text, from)
    if not first then
      break
    end
    out[#out + 1] = text:sub(from, first - 1)
    out[#out + 1] = "***"
    from = last + 1
  end
  out[#out + 1] = text:sub(from)
  return table.concat(out)
end

-- How many bytes at the end of the text might be the beginning of a secret.
local function pending(text)
  for n = math.min(longest - 1, #text), 1, -1 do
    local tail = text:sub(-n)
    for form in pairs(forms) do
      if #form > n and form:sub(1, n) == tail then
        return n
      end
    end
  end
  return 0
end

--- Mask a text that comes in pieces: what might be the beginning of a secret is held back until
-- the next piece decides.
-- @return function(chunk) -> string; called with nil at the end it returns what was held back
function M.masker()
  local held = ""
  return function(chunk)
    if not chunk then
      local rest = M.mask(held)
      held = ""
      return rest
    end
    local text = M.mask(held .. chunk)
    local n = pending(text)
    held = n > 0 and text:sub(-n) or ""
    return text:sub(1, #text - n)
  end
end

return M
