--- Unknowns: what a dry run cannot know yet.
-- An unknown may be passed on, joined to strings and printed; looking inside it ends the preview of
-- that host, with its reason. It is never a guess.
--
-- Lua cannot trap `if value` and `==`: so whoever makes an unknown hands it out through
-- `kb.after`, and the fields of tables that are not known are not there to be compared: reading
-- one stops.

local err = require "kb.err"

local M = {}

local notes = setmetatable({}, { __mode = "k" }) -- unknown -> { text = , reason = }

local Unknown = { __name = "kb.unknown" }

--- Make an unknown.
-- @param reason string: when it will be known: "known after m0 is initialised"
-- @return unknown
function M.new(reason)
  local u = setmetatable({}, Unknown)
  notes[u] = { text = "(" .. reason .. ")", reason = reason }
  return u
end

--- Whether a value is unknown.
-- @param value any
-- @return boolean
function M.is(value)
  return getmetatable(value) == Unknown
end

--- When it will be known.
-- @param value unknown
-- @return string
function M.reason(value)
  return notes[value].reason
end

--- End the preview of this host here.
-- @param value unknown
-- @param why string: what needed it
-- @param hint string or nil: how to do without
-- @raise kb.err of kind unknown
function M.stop(value, why, hint)
  local file, line = err.position()
  err.raise("unknown", ("%s, which is %s"):format(why, M.reason(value)),
    { file = file, line = line, hint = hint })
end

local function text_of(value)
  return M.is(value) and notes[value].text or tostring(value)
end

Unknown.__tostring = function(value)
  return notes[value].text
end
Unknown.__concat = function(a, b)
  local u = setmetatable({}, Unknown)
  notes[u] = { text = text_of(a) .. text_of(b), reason = M.reason(M.is(a) and a or b) }
  return u
end

local function refuse(what)
  return function(a, b)
    M.stop(M.is(a) and a or b, what)
  end
end

Unknown.__index = refuse("the playbook looks inside a value")
for _, event in ipairs { "add", "sub", "mul", "div", "mod", "idiv", "unm", "lt", "le", "len",
  "call", "pairs" } do
  Unknown["__" .. event] = refuse("the playbook computes with a value")
end

--- Whether a value is unknown or has an unknown in it.
-- @param value any
-- @return boolean
function M.within(value)
  if M.is(value) then
    return true
  end
  if type(value) == "table" and getmetatable(value) == nil then
    for _, v in next, value do
      if M.within(v) then
        return true
      end
    end
  end
  return false
end

--- A copy of a table in which reading an unknown field, at any depth, ends the preview.
-- @param value any: other values are returned as they are
-- @return any
function M.guard(value)
  if type(value) ~= "table" or M.is(value) or getmetatable(value) ~= nil then
    return value
  end
  local known, missing = {}, {}
  for k, v in pairs(value) do
    if M.is(v) then
      missing[k] = v
    else
      known[k] = M.guard(v)
    end
  end
  if not next(missing) then
    return known
  end
  return setmetatable(known, { __index = function(_, key)
    if missing[key] ~= nil then
      M.stop(missing[key], ("the playbook looks at '%s'"):format(tostring(key)),
        ("kb.after(result, function(r) return r.%s end) passes it on, unseen"):format(key))
    end
  end })
end

return M
