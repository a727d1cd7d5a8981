--- The kubelet's arguments, as a drop-in of its unit. kubeadm's own drop-in gives the kubelet
--- $KUBELET_EXTRA_ARGS after its own arguments; the last one said holds.

local data = require "kb.data"
local kb = require "kb"

local M = {}

local function pairs_text(map)
  local list = {}
  for key, value in data.pairs(map) do
    list[#list + 1] = ("%s=%s"):format(key, tostring(value))
  end
  table.sort(list)
  return table.concat(list, ",")
end

local function words_of(given)
  local words = {}
  local function add(name, value)
    words[#words + 1] = ("--%s=%s"):format(name, tostring(value))
  end
  if given.node_ip then
    add("node-ip", given.node_ip)
  end
  if next(given.labels) then
    add("node-labels", pairs_text(given.labels))
  end
  if #given.taints > 0 then
    add("register-with-taints", table.concat(given.taints, ","))
  end
  for name, value in data.pairs(given.args) do
    add(name, value)
  end
  return words
end

--- The text of the drop-in.
-- @param given table: node_ip (nil: the kubelet's choice), labels (map), taints (list), args (map)
-- @return string
function M.drop_in(given)
  local words = words_of(given)
  for _, word in ipairs(words) do
    if word:find("[%s\"'\\]") then
      kb.refuse(("the kubelet's argument %s has a space or a quote in it"):format(word))
    end
  end
  return ('[Service]\nEnvironment="KUBELET_EXTRA_ARGS=%s"\n'):format(
    (table.concat(words, " "):gsub("%%", "%%%%")))
end

return M
