-- All filters by name.
local M = {}

M.registry = {}

local PARTS = {
  "kb.template.filters_value", "kb.template.filters_text", "kb.template.filters_list",
  "kb.template.filters_markup", "kb.template.ansible", "kb.template.ansible_text",
  "kb.template.ansible_list", "kb.template.ansible_path", "kb.template.ansible_number",
  "kb.template.ansible_address",
}
for _, part in ipairs(PARTS) do
  for name, entry in pairs(require(part)) do M.registry[name] = entry end
end

-- What certainly gives a string needs no turning into one for the output.
for _, name in ipairs { "upper", "lower", "trim", "replace", "indent", "string", "join" } do
  M.registry[name].gives = "string"
end
M.registry.length.gives = "integer"

return M
