--- Rows of text in columns, for the terminal.
local term = require "kb.term"

local M = {}

local function cell_text(cell)
  return type(cell) == "table" and cell[1] or cell
end

local function width_of(text)
  return utf8.len(text) or #text
end

--- Lay rows out in columns as wide as their widest cell; the last column is not padded.
-- @param rows list of lists of cells: a string, or {string, style of kb.term}
-- @return string
function M.text(rows)
  local widths = {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do
      widths[i] = math.max(widths[i] or 0, width_of(cell_text(cell)))
    end
  end
  local lines = {}
  for _, row in ipairs(rows) do
    local parts = {}
    for i, cell in ipairs(row) do
      local text = cell_text(cell)
      local padding = i < #row and (" "):rep(widths[i] - width_of(text)) or ""
      parts[i] = (type(cell) == "table" and term.paint(cell[2], text, 1) or text) .. padding
    end
    lines[#lines + 1] = table.concat(parts, "  ")
  end
  return table.concat(lines, "\n") .. "\n"
end

return M
