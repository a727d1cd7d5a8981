--- Declared arguments: what an operation or a play takes, checked before anything happens.
--
-- A declaration is a list of entries `{ name, type, "what it means", ... }` with the fields
-- at = 1 (may be given as the first positional value), required = true, default = value,
-- unknown = true (may be something that a dry run does not know yet), file = "files", "templates"
-- or "directory" (names a file or directory of the operator's machine, which the static check looks
-- for).
-- Types: string, integer, number, boolean, function, table, any, path (absolute), mode (permission
-- bits: "0644" or 420), duration (seconds, or "90s", "5m", "2h"), content (string or secret), line
-- (text without a line break), pattern (of Lua), list (of strings; a single string is a list of
-- one), map, or a list of the allowed words.

local err = require "kb.err"
local secret = require "kb.secret"
local suggest = require "kb.suggest"
local unknown = require "kb.unknown"

local M = {}

local units = { s = 1, m = 60, h = 3600 }

local function to_mode(value)
  if math.type(value) == "integer" and value >= 0 and value <= 4095 then
    return value
  end
  if type(value) == "string" and value:find("^[0-7][0-7][0-7][0-7]?$") then
    return tonumber(value, 8)
  end
end

local function to_duration(value)
  if type(value) == "number" and value >= 0 then
    return value
  end
  local n, unit = tostring(value):match("^(%d+%.?%d*)([smh])$")
  return n and tonumber(n) * units[unit]
end

local function to_list(value)
  if type(value) == "string" then
    return { value }
  end
  if type(value) ~= "table" then
    return nil
  end
  for _, item in ipairs(value) do
    if type(item) ~= "string" and type(item) ~= "number" then
      return nil
    end
  end
  return value
end

local function to_path(value)
  if type(value) == "string" and value:find("^/") and not value:find("[%z\n]") then
    return value:find("[^/]") and (value:gsub("/+$", "")) or "/"
  end
end

local function to_line(value)
  return type(value) == "string" and not value:find("\n", 1, true) and value or nil
end

local function to_pattern(value)
  return type(value) == "string" and pcall(string.find, "", value) and value or nil
end

local function of_type(name)
  return function(value)
    if type(value) == name then
      return value
    end
  end
end

-- What a type is called in an error, and how a value becomes one (nil: it cannot).
local types = {
  string = { "a string", of_type("string") },
  number = { "a number", of_type("number") },
  boolean = { "true or false", of_type("boolean") },
  ["function"] = { "a function", of_type("function") },
  table = { "a table", of_type("table") },
  map = { "a table of names and values", of_type("table") },
  integer = { "a whole number", math.tointeger },
  any = { "anything", function(value)
    return value
  end },
  path = { "an absolute path", to_path },
  mode = { 'permission bits such as "0644"', to_mode },
  line = { "one line, without a line break", to_line },
  pattern = { 'a Lua pattern such as "^some%-key="', to_pattern },
  duration = { 'a duration: seconds, or "90s", "5m", "2h"', to_duration },
  list = { "a string or a list of strings", to_list },
  content = { "a string or a secret", function(value)
    if type(value) == "string" or secret.is(value) then
      return value
    end
  end },
}

local function one_of(words)
  return { "one of " .. table.concat(words, ", "), function(value)
    for _, word in ipairs(words) do
      if value == word then
        return value
      end
    end
  end }
end

local function type_of(entry)
  return type(entry[2]) == "table" and one_of(entry[2]) or types[entry[2]]
    or error(("argument '%s': there is no type '%s'"):format(entry[1], tostring(entry[2])))
end

local function names_of(declared)
  local names = {}
  for _, entry in ipairs(declared) do
    names[#names + 1] = entry[1]
  end
  return names
end

local function entry_named(declared, key)
  for _, entry in ipairs(declared) do
    if entry[1] == key or entry.at == key then
      return entry
    end
  end
end

local function show(value)
  return type(value) == "string" and ("%q"):format(value) or tostring(value)
end

-- Say which item of a list is wrong, or not known yet.
local function check_items(entry, list, subject)
  for i, item in ipairs(type(list) == "table" and list or {}) do
    if unknown.is(item) then
      unknown.stop(item, ("%s needs item %d of its %s"):format(subject, i, entry[1]))
    elseif type(item) ~= "string" and type(item) ~= "number" then
      err.raise("usage", ("%s: '%s' must be %s, but its item %d is %s"):format(subject, entry[1],
        types.list[1], i, type(item) == "boolean" and tostring(item) or "a " .. type(item)))
    end
  end
end

local function convert(entry, value, subject)
  if unknown.is(value) then
    if entry.unknown then
      return value
    end
    unknown.stop(value, ("%s needs its %s"):format(subject, entry[1]))
  end
  local kind = type_of(entry)
  if entry[2] == "list" then
    check_items(entry, value, subject)
  end
  if type(value) ~= "nil" then
    local converted = kind[2](value)
    if converted ~= nil then
      return converted
    end
  end
  err.raise("usage", ("%s: '%s' must be %s, got %s"):format(subject, entry[1], kind[1],
    show(value)))
end

--- Check given arguments against a declaration.
-- @param declared list: the declaration
-- @param given table: what the caller gave, a table or a single positional value
-- @param subject string: what is called, for errors
-- @return table: the values by name, converted, defaults filled in
-- @raise kb.err of kind usage: an unknown, missing or wrong argument
function M.check(declared, given, subject)
  if type(given) ~= "table" or secret.is(given) or unknown.is(given) then
    given = { given }
  end
  local clean = {}
  for key, value in pairs(given) do
    local entry = entry_named(declared, key)
    if not entry then
      err.raise("usage", ("%s has no argument '%s'%s"):format(subject, tostring(key),
        suggest.choice(tostring(key), names_of(declared), "it takes")))
    end
    clean[entry[1]] = convert(entry, value, subject)
  end
  for _, entry in ipairs(declared) do
    if clean[entry[1]] == nil then
      if entry.required then
        err.raise("usage", ("%s needs '%s': %s"):format(subject, entry[1], entry[3] or ""))
      elseif entry.default ~= nil then
        clean[entry[1]] = convert(entry, entry.default, subject)
      end
    end
  end
  return clean
end

return M
