-- The first line of a template may set options: `#jinja2: lstrip_blocks: True`.
local M = {}

local MARK = "#jinja2:"
local KNOWN = { trim_blocks = true, lstrip_blocks = true }
local BOOLEANS = { ["True"] = true, ["true"] = true, ["False"] = false, ["false"] = false }

--- Read the options of a template.
-- @param text string
-- @param defaults table: `trim_blocks` and `lstrip_blocks`
-- @return table of options, the text without the line, and how many lines that
--   took away; or nil and a message
function M.read(text, defaults)
  local settings = { trim_blocks = defaults.trim_blocks, lstrip_blocks = defaults.lstrip_blocks }
  if text:sub(1, #MARK) ~= MARK then return settings, text, 0 end
  local line, rest = text:sub(#MARK + 1):match("^([^\n]*)\n(.*)$")
  if not line then return nil, "the line '#jinja2:' is all there is" end
  for pair in line:gmatch("[^,]+") do
    local key, value = pair:match("^%s*([%w_]+)%s*:%s*(%w+)%s*$")
    if not key then return nil, ("'#jinja2:' needs 'option: value', not '%s'"):format(pair) end
    if not KNOWN[key] or BOOLEANS[value] == nil then
      return nil, ("'#jinja2:' knows trim_blocks and lstrip_blocks, True or False, not '%s: %s'")
        :format(key, value)
    end
    settings[key] = BOOLEANS[value]
  end
  return settings, rest, 1
end

return M
