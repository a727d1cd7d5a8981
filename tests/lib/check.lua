--- What tests say of values; each raises with both values when it does not hold.
local M = {}

local function show(v, indent)
  if type(v) ~= "table" then
    return type(v) == "string" and ("%q"):format(v) or tostring(v)
  end
  indent = (indent or "") .. "  "
  local lines, keys = {}, {}
  for k in pairs(v) do
    keys[#keys + 1] = k
  end
  table.sort(keys, function(a, b)
    return tostring(a) < tostring(b)
  end)
  for _, k in ipairs(keys) do
    lines[#lines + 1] = ("%s[%s] = %s"):format(indent, show(k), show(v[k], indent))
  end
  return #lines == 0 and "{}" or "{\n" .. table.concat(lines, "\n") .. "}"
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return a == b and math.type(a) == math.type(b)
  end
  for k, v in pairs(a) do
    if not same(v, b[k]) then
      return false
    end
  end
  for k in pairs(b) do
    if a[k] == nil then
      return false
    end
  end
  return true
end

--- Two values are equal, tables by content.
function M.equal(got, want, what)
  if not same(got, want) then
    error(("%sgot %s, want %s"):format(what and what .. ": " or "", show(got), show(want)), 2)
  end
end

--- The value is neither nil nor false; a message may follow it, as from C.
function M.ok(value, message, ...)
  if not value then
    error("not so: " .. tostring(message), 2)
  end
  return value, message, ...
end

--- The text contains the words.
function M.contains(text, words)
  if not tostring(text):find(words, 1, true) then
    error(("%s does not contain %q"):format(show(text), words), 2)
  end
end

--- The function raises; the error's text contains the words.
function M.raises(words, fn, ...)
  local ok, err = pcall(fn, ...)
  if ok then
    error(("nothing was raised; wanted %q"):format(words), 2)
  end
  M.contains(tostring(err), words)
  return err
end

return M
