-- Host patterns, as of Ansible: what -l, `hosts =` and the first argument of
-- `kbrun exec` say.
--
--   all, *            every host
--   masters           the hosts of a group, or one host
--   w*, m?, w[01]     every group and host whose name fits
--   w[0:2]            w0, w1, w2, where these are hosts
--   masters[0]        one host of a group; [-1] is the last, [1:] from the second
--                     on, [0:1] the first two
--   ~(web|db)\d       names that begin so (kb.pattern.regex)
--   a:b, a,b          both;  a:&b  what is in both;  a:!b  a without b
--
-- However they are ordered, unions come first, then intersections, then
-- exclusions. A name that is neither host nor group is an error.
local lpeg = require "lpeg"
local names = require "kb.inventory.names"
local regex = require "kb.pattern.regex"
local suggest = require "kb.suggest"

local M = {}

local P, R, S, V = lpeg.P, lpeg.R, lpeg.S, lpeg.V
local C, Cc, Cg, Cs, Ct = lpeg.C, lpeg.Cc, lpeg.Cg, lpeg.Cs, lpeg.Ct

local space = S " \t" ^ 0
local separator = S ":,"
local integer = C(P "-" ^ -1 * R "09" ^ 1) / tonumber
local subscript = P "[" * Ct(Cg(integer, "first") * (Cg(Cc(true), "range") * S ":-"
  * Cg(integer, "last") ^ -1) ^ -1) * "]" * -P(1)
local with_subscript = Ct(Cg(C((1 - subscript) ^ 1), "name") * Cg(subscript, "slice"))

local bracketed = P "[" * (1 - P "]") ^ 0 * "]"
local part = (bracketed + (1 - separator - S "[] \t")) ^ 1
-- A group in an expression may hold what would else separate patterns.
local whole = bracketed + P "{" * (1 - P "}") ^ 0 * "}" + P "\\" * 1
local expression = P { (V "group" + whole + (1 - separator)) ^ 1,
  group = P "(" * (V "group" + whole + (1 - S "()")) ^ 0 * ")" }
local term = Ct(Cg(C(S "!&") + Cc "", "mark") * space
  * (P "~" * Cg(C(expression), "regex") + Cg(C(part), "text")))
local terms = Ct(space * (separator * space) ^ 0 * (term * space) * ((separator * space) ^ 1
  * (term * space)) ^ 0 * (separator * space) ^ 0) * -P(1)

--- Read a pattern.
-- @param text string
-- @return list of terms: mark ("", "&" or "!"), and text or regex; or nil and a
--   message
function M.parse(text)
  local found = terms:match(text)
  if not found then return nil, ("the pattern %q is not understood"):format(text) end
  return found
end

-- A glob as a pattern of Lua.
local set_member = S "%^[" / "%%%0" + (1 - P "]")
local glob_set = (P "[!" / "[^" + "[") * set_member ^ 1 * "]"
local glob_pattern = Cs((P "*" / ".*" + P "?" / "." + glob_set + R("az", "AZ", "09")
  + P(1) / "%%%0") ^ 0)

local function is_glob(text) return text:find "[*?%[]" ~= nil end

-- The names of groups and hosts that the test holds for, groups first: their
-- hosts. `all` and `ungrouped` are meant only by their own names.
local function members_by(inventory, test)
  local found, any = {}, false
  for _, group in ipairs(inventory:group_names()) do
    if group ~= "all" and group ~= "ungrouped" and test(group) then
      any = true
      table.move(inventory:members(group), 1, #inventory:members(group), #found + 1, found)
    end
  end
  for _, host in ipairs(inventory:hosts_as_read()) do
    if test(host) then
      any = true
      found[#found + 1] = host
    end
  end
  return any and found or nil
end

local function by_name(inventory, text)
  if text == "all" or text == "*" then return inventory:hosts() end
  local members = inventory:members(text)
  if members then return members end
  if inventory:has(text) then return { text } end
  if is_glob(text) then
    local pattern = "^" .. glob_pattern:match(text) .. "$"
    return members_by(inventory, function(name) return name:find(pattern) ~= nil end)
  end
  return text == "localhost" and { text } or nil
end

-- w[0:2] as the names of hosts; nil when it is no range.
local function by_range(inventory, text)
  local list = text:find("[", 1, true) and names.expand(text) or nil
  for _, name in ipairs(list or {}) do
    if not inventory:has(name) then
      return nil, ("%q names %s, which is no host"):format(text, name)
    end
  end
  return list
end

local function slice(members, wanted, text)
  local first, last = wanted.first, wanted.last
  if not wanted.range then
    local at = first < 0 and #members + first + 1 or first + 1
    if not members[at] then
      return nil, ("%s: there are only %d hosts, counted from 0"):format(text, #members)
    end
    return { members[at] }
  end
  last = last or #members - 1
  if first < 0 or last < first and wanted.last then
    return nil, ("%s: a range goes from a place, counted from 0, to a later one"):format(text)
  end
  return table.move(members, first + 1, math.min(last + 1, #members), 1, {})
end

local function unknown(inventory, text)
  if is_glob(text) then return nil, ("no host and no group fits %q"):format(text) end
  local known = inventory:hosts()
  table.move(inventory:group_names(), 1, #inventory:group_names(), #known + 1, known)
  return nil, ("there is no host or group %q%s"):format(text, suggest.hint(text, known))
end

local function unique(list)
  local kept, seen = {}, {}
  for _, name in ipairs(list) do
    if not seen[name] then kept[#kept + 1] = name end
    seen[name] = true
  end
  return kept
end

local function by_text(inventory, text)
  local sliced = with_subscript:match(text)
  local members = sliced and by_name(inventory, sliced.name)
  if members then return slice(unique(members), sliced.slice, text) end
  local message
  members, message = by_range(inventory, text)
  if message then return nil, message end
  members = members or by_name(inventory, text)
  if members then return members end
  return unknown(inventory, sliced and not is_glob(sliced.name) and sliced.name or text)
end

local function by_regex(inventory, text)
  local test, message = regex.compile(text)
  if not test then return nil, message end
  local ok, members = pcall(members_by, inventory, test)
  if not ok then return nil, ("~%s: %s"):format(text, members) end
  if members then return members end
  return nil, ("no host and no group fits ~%s"):format(text)
end

local function members_of(inventory, item)
  if item.regex then return by_regex(inventory, item.regex) end
  return by_text(inventory, item.text)
end

local function as_set(list)
  local set = {}
  for _, name in ipairs(list) do set[name] = true end
  return set
end

local function keep(list, set, wanted)
  local kept = {}
  for _, name in ipairs(list) do
    if (set[name] or false) == wanted then kept[#kept + 1] = name end
  end
  return kept
end

--- The hosts that a pattern names.
-- @param text string
-- @param inventory table: hosts(), hosts_as_read(), group_names(),
--   members(group), has(host)
-- @return list of names, each once, in the order of the pattern; or nil and a
--   message
function M.match(text, inventory)
  if inventory:has(text) then return { text } end -- also fe80::1
  local list, message = M.parse(text)
  if not list then return nil, message end
  local by_mark = { [""] = {}, ["&"] = {}, ["!"] = {} }
  for _, item in ipairs(list) do
    local members
    members, message = members_of(inventory, item)
    if not members then return nil, message end
    table.insert(by_mark[item.mark], members)
  end
  local found = {}
  for _, members in ipairs(by_mark[""]) do table.move(members, 1, #members, #found + 1, found) end
  if #by_mark[""] == 0 then found = inventory:hosts() end
  found = unique(found)
  for _, members in ipairs(by_mark["&"]) do found = keep(found, as_set(members), true) end
  for _, members in ipairs(by_mark["!"]) do found = keep(found, as_set(members), false) end
  return found
end

return M
