--- Words for a POSIX shell.
local M = {}

local function check(text)
  if type(text) == "number" then
    text = tostring(text)
  end
  if type(text) ~= "string" then
    error(("a string is needed to quote, got %s"):format(type(text)), 3)
  end
  if text:find("\0", 1, true) then
    error("a shell word cannot hold a NUL byte", 3)
  end
  return text
end

local function word(text)
  if text:find("^[%w_./:=@%%+,-]+$") and not text:find("^=") then
    return text
  end
  return "'" .. text:gsub("'", [['\'']]) .. "'"
end

--- Quote a text so that a POSIX shell takes it as one word, exactly.
-- A text that needs no quotes stays as it is.
-- @param text string or number
-- @return string
-- @raise when there is a NUL byte in it, which no word can hold
function M.quote(text)
  return word(check(text))
end

--- The inside of a single-quoted word, without the quotes around it.
-- @param text string or number
-- @return string
function M.raw(text)
  return (check(text):gsub("'", [['\'']]))
end

--- Quote each text of a list, with spaces between.
-- @param texts list of strings or numbers
-- @return string
function M.list(texts)
  local words = {}
  for i, text in ipairs(texts) do
    words[i] = word(check(text))
  end
  return table.concat(words, " ")
end

--- Quote a path, so that no command takes it for an option: `-x` becomes `./-x`.
-- @param path string
-- @return string
function M.path(path)
  check(path)
  return word(path:sub(1, 1) == "-" and "./" .. path or path)
end

return setmetatable(M, {
  __call = function(_, text)
    return word(check(text))
  end,
})
