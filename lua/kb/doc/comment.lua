--- Doc comments, taken apart.
--
-- A block begins with a sentence that stands alone, goes on with text, and ends
-- with tags: `@param name type: words`, `@return`, `@raise`, `@usage`. A tag's
-- text goes on until the next tag.
local M = {}

local function trim(text)
  return (text:gsub("^%s+", ""):gsub("%s+$", ""))
end

-- "First sentence. The rest" into the two; a sentence may span lines.
local function split_sentence(text)
  local paragraph, rest = text:match("^(.-)\n%s*\n(.*)$")
  paragraph, rest = paragraph or text, rest or ""
  local first, more = paragraph:match("^(.-[.:!?])%s+(%u.*)$")
  if not first then
    first, more = paragraph:match("^(.-%.)%s+(.*)$")
  end
  if first then
    return first, trim(more .. "\n\n" .. rest)
  end
  return paragraph, trim(rest)
end

local function unwrap(text)
  return (trim(text):gsub("%s*\n%s*", " "))
end

local adders = {
  param = function(block, text)
    local name, words = text:match("^(%S+)%s*(.*)$")
    table.insert(block.params, { name = name or "?", text = unwrap(words or "") })
  end,
  ["return"] = function(block, text)
    table.insert(block.returns, unwrap(text))
  end,
  raise = function(block, text)
    table.insert(block.raises, unwrap(text))
  end,
  usage = function(block, text)
    table.insert(block.usages, (text:gsub("^\n", ""):gsub("%s+$", "")))
  end,
}

--- Take a block apart.
-- @param text string: the comment without its marks
-- @return table: summary (the first sentence), body (the rest of the text),
--   params (list of name and text), returns, raises and usages (lists of
--   strings), unknown (list of tags that mean nothing)
function M.parse(text)
  local block = { params = {}, returns = {}, raises = {}, usages = {}, unknown = {} }
  local prose, tag, collected = {}, nil, {}
  local function finish()
    if tag then
      local add = adders[tag]
      if add then
        add(block, table.concat(collected, "\n"))
      else
        table.insert(block.unknown, tag)
      end
    end
    collected = {}
  end
  for line in (text .. "\n"):gmatch("(.-)\n") do
    local name, words = line:match("^%s*@(%a+)%s*(.*)$")
    if name then
      finish()
      tag, collected = name, { words }
    else
      table.insert(tag and collected or prose, line)
    end
  end
  finish()
  local summary, body = split_sentence(trim(table.concat(prose, "\n")))
  block.summary, block.body = unwrap(summary), body
  return block
end

return M
