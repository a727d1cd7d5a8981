--- Facts: named read-only questions to a host.
--
-- A fact is a shell command made from its arguments and a parser of what it prints. Its first
-- argument is its subject: facts of one area (the part of the name before the dot) with the same
-- subject speak of the same thing, so that a change which states one of them and not another makes
-- the other unknown in a dry run, and has it asked again in a run.

local embedded = require "kb.core.embedded"
local err = require "kb.err"
local suggest = require "kb.suggest"

local M = {}

local facts = {} -- by name

local SEPARATOR = "\31"

local Fact = { __name = "kb.fact" }
Fact.__index = Fact

--- Declare a fact.
-- @param f table: name (string "area.noun"), command (function(args...) -> POSIX sh text that only
-- reads), parse (function(out string, code integer, args...) -> value), bare (what a machine that
-- was just installed would answer, for previews without hosts: a value or function(args...);
-- absent: it is unknown), constant (boolean: nothing that we do changes it), costly
-- (boolean: never asked ahead of need, nor with what is), reads (function(args...) -> list of
-- paths, or nil: what the answer depends on beside its own subject; nil is anything at all, so that
-- a dry run knows the answer only as long as it has foretold no change)
-- @return fact
function M.define(f)
  for _, field in ipairs { "name", "command", "parse" } do
    if f[field] == nil then
      error(("a fact needs '%s'"):format(field), 2)
    end
  end
  facts[f.name] = setmetatable(f, Fact)
  f.area = f.name:match("^([^.]*)%.") or error("a fact's name is area.noun: " .. f.name, 2)
  return f
end

-- The facts of all modules, also of those that nobody has used so far.
local function load_all()
  for _, name in ipairs(embedded.names()) do
    if name:find("^modules%.[%w_]+%.facts$") then
      require(name)
    end
  end
end

--- Find a fact by its name.
-- @param name string
-- @return fact
-- @raise kb.err of kind usage when there is none
function M.find(name)
  if not facts[name] then
    load_all()
  end
  if not facts[name] then
    local file, line = err.position()
    err.raise("usage", ("there is no fact '%s'%s"):format(name, suggest.hint(name, M.names())),
      { file = file, line = line, hint = "`kbrun facts` lists them" })
  end
  return facts[name]
end

--- The names of all facts, sorted.
-- @return list of strings
function M.names()
  load_all()
  local names = {}
  for name in pairs(facts) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

--- One question as a string: what the answer is filed under.
-- @param name string
-- @param ... strings, numbers, booleans: the fact's arguments
-- @return string
function M.key(name, ...)
  local parts = { name, ... }
  for i = 2, select("#", ...) + 1 do
    local t = type(parts[i])
    if t ~= "string" and t ~= "number" and t ~= "boolean" then
      err.raise("usage", ("fact %s: argument %d must be a string, number or boolean, got %s")
        :format(name, i - 1, t))
    end
    parts[i] = tostring(parts[i])
  end
  return table.concat(parts, SEPARATOR)
end

--- A question for people: `file.stat /etc/hosts`.
-- @param key string
-- @return string
function M.show(key)
  return (key:gsub(SEPARATOR, " "))
end

--- What a question speaks of: its area and first argument.
-- @param key string
-- @return string
function M.subject(key)
  local area = key:match("^[^." .. SEPARATOR .. "]*")
  local first = key:match(SEPARATOR .. "([^" .. SEPARATOR .. "]*)")
  return area .. SEPARATOR .. (first or "")
end

--- The shell command that answers the question.
-- @param ... the fact's arguments
-- @return string
function Fact:ask(...)
  return self.command(...)
end

--- How many arguments the fact takes at most.
-- @return number
function Fact:most()
  local known = debug.getinfo(self.command, "u")
  return known.isvararg and math.huge or known.nparams
end

--- What a bare machine would answer.
-- @param ... the fact's arguments
-- @return known boolean, value
function Fact:of_bare(...)
  if self.bare == nil then
    return false
  end
  if type(self.bare) == "function" then
    return true, self.bare(...)
  end
  return true, self.bare
end

return M
