--- DER taken apart and put together again, so that a test can break one thing of a certificate.
local M = {}

local function length_at(text, at)
  local first = text:byte(at)
  if first < 0x80 then
    return first, at + 1
  end
  local n = first & 0x7f
  return string.unpack(">I" .. n, text, at + 1), at + 1 + n
end

--- Take DER apart.
-- @param text string
-- @return list of {tag, text} and, for constructed ones, {tag, list...}
function M.parse(text)
  local list, at = {}, 1
  while at <= #text do
    local tag = text:byte(at)
    local length, from = length_at(text, at + 1)
    local content = text:sub(from, from + length - 1)
    local node = { tag = tag, text = content }
    if tag & 0x20 ~= 0 then
      node = M.parse(content)
      node.tag = tag
    end
    list[#list + 1] = node
    at = from + length
  end
  return list
end

local function length_of(n)
  if n < 0x80 then
    return string.char(n)
  end
  local bytes = string.pack(">I4", n):gsub("^\0+", "")
  return string.char(0x80 | #bytes) .. bytes
end

--- Put DER together.
-- @param node table as `parse` gives it
-- @return string
function M.encode(node)
  local parts = {}
  for i, child in ipairs(node) do
    parts[i] = M.encode(child)
  end
  local content = node.text or table.concat(parts)
  return string.char(node.tag) .. length_of(#content) .. content
end

return M
