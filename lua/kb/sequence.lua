--- Plans after one another: a change made of several.

local cache = require "kb.cache"
local fact = require "kb.fact"
local op = require "kb.op"

local M = {}

-- What the effects so far say of a question; the newest that says anything wins.
local function stated(effects, name, ...)
  for i = #effects, 1, -1 do
    local entry = effects[i]
    if type(entry) == "function" then
      local found, value = entry(name, ...)
      if found then
        return true, value
      end
    elseif entry[1] == name and cache.entry_key(entry) == fact.key(name, ...) then
      return true, entry[#entry]
    end
  end
  return false
end

local function append(list, more)
  table.move(more or {}, 1, #(more or {}), #list + 1, list)
end

-- Without the entries that later ones replace, so that each one can be verified.
local function add_effects(effects, more)
  for _, entry in ipairs(more or {}) do
    local key = type(entry) == "table" and cache.entry_key(entry)
    for i = #effects, key and 1 or math.huge, -1 do
      if type(effects[i]) == "table" and cache.entry_key(effects[i]) == key then
        table.remove(effects, i)
      end
    end
    effects[#effects + 1] = entry
  end
end

--- One change made of several plans; see kb.sequence.
-- @param ask function(fact name, args...)
-- @param plans list of functions(ask) -> change, or nil and a reason
-- @param title string or nil
-- @return change, or nil and the reason of the last plan
function M.combine(ask, plans, title)
  local whole = { actions = {}, effect = {} }
  local titles, diffs, reason, sure = {}, {}, nil, false
  local function informed(name, ...)
    local found, value = stated(whole.effect, name, ...)
    if found then
      return value
    end
    return ask(name, ...)
  end
  op.doubting(informed, ask)
  for _, plan in ipairs(plans) do
    local change, why = plan(informed)
    reason = why or reason
    if change then
      titles[#titles + 1], diffs[#diffs + 1] = change.title, change.diff
      append(whole.actions, change.actions)
      add_effects(whole.effect, change.effect)
      sure = sure or not change.perhaps
      whole.unstated = whole.unstated or change.unstated or change.effect == nil
      whole.perhaps = whole.perhaps or change.perhaps
      whole.more = whole.more or change.more
      whole.partial = whole.partial or change.partial
    end
  end
  if #titles == 0 then
    return nil, reason
  end
  whole.perhaps = not sure and whole.perhaps or nil
  whole.title = title or table.concat(titles, "; ")
  whole.diff = #diffs > 0 and table.concat(diffs, "\n") or nil
  return whole
end

-- Beyond every clock (the year 33658), and growing.
local moment = 1e12

--- A moment after all others; see kb.later.
-- @return number
function M.later()
  moment = moment + 1
  return moment
end

return M
