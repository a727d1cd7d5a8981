--- Swap.

local files = require "modules.files"
local kb = require "kb"

local M = {}

-- /etc/fstab with its lines of swap made comments.
local function without_swap(text)
  local lines = {}
  for line in text:gmatch("([^\n]*)\n") do
    local kind = line:match("^%s*[^#%s]%S*%s+%S+%s+(%S+)")
    lines[#lines + 1] = kind == "swap" and "# off by kbrun: " .. line or line
  end
  return table.concat(lines, "\n") .. "\n"
end

local function fstab(ask)
  local text = files.text("/etc/fstab", ask)
  local new = without_swap(text:find("\n$") and text or text .. "\n")
  if new == text or new == text .. "\n" then
    return nil, "no swap"
  end
  return kb.plan(files.file, ask, { "/etc/fstab", content = new })
end

-- Units that generators make, also for swap that no line of /etc/fstab names, are masked.
local function active(ask)
  local list = ask("swap.active")
  if #list == 0 then
    return nil, "no swap"
  end
  local units = {}
  for _, swap in ipairs(list) do
    units[#units + 1] = swap.unit ~= "" and swap.unit or nil
  end
  return { title = "turn swap off", effect = { { "swap.active", {} } },
    actions = { "swapoff -a", #units > 0 and "systemctl mask -- " .. kb.words(units) or nil } }
end

--- No swap, now and after a boot.
-- Lines of /etc/fstab become comments, and units of systemd that turned swap on are masked.
M.off = kb.op {
  name = "swap.off",
  args = {},
  facts = function()
    return { { "swap.active" }, { "file.content", "/etc/fstab" }, { "file.stat", "/etc/fstab" },
      { "file.digest", "/etc/fstab" }, { "user.self" } }
  end,
  plan = function(_, fact)
    return kb.sequence(fact, { active, fstab }, "turn swap off")
  end,
}

return M
