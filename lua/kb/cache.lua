--- The facts known of one host: answers, and effects of changes.
--
-- In a run, a change forgets every answer that it did not state, since nobody knows what else its
-- commands did; the next question asks the host. In a dry run nothing was done, so answers stay,
-- stated effects cover them, and the other facts of a changed subject become unknown. So do facts
-- that depend on more than their subject (see `reads` in kb.fact), when that may have changed.

local fact = require "kb.fact"
local unknown = require "kb.unknown"

local Cache = { __name = "kb.cache" }
Cache.__index = Cache

local M = {}

--- A new, empty cache.
-- @return cache
function M.new()
  return setmetatable({ values = {}, stamps = {}, rules = {}, subjects = {}, foretold = {},
    stated = {}, clock = 0 }, Cache)
end

function Cache:_tick()
  self.clock = self.clock + 1
  return self.clock
end

--- File the host's own answer.
-- @param key string
-- @param value any: not nil; false says that there is none
function Cache:answer(key, value)
  self.values[key] = { value }
  self.stamps[key] = self:_tick()
end

--- What is known of a question.
-- @param key string
-- @param name string: the fact's name
-- @param ... its arguments
-- @return known boolean, value (an unknown when a change made it so)
function Cache:look(key, name, ...)
  local stamp = self.stamps[key] or 0
  for i = #self.rules, 1, -1 do
    local rule = self.rules[i]
    if rule.stamp < stamp then
      break
    end
    local found, value = rule.fn(name, ...)
    if found then
      return true, value
    end
  end
  local changed = self.subjects[fact.subject(key)]
  if not changed or changed.stamp <= stamp then
    local reads = #self.foretold > 0 and fact.find(name).reads
    changed = reads and self:touching(reads(...), stamp)
  end
  if changed and changed.stamp > stamp then
    return true, changed.unknown
  end
  if stamp > 0 then
    return true, self.values[key][1]
  end
  return false
end

local function is_at_or_below(path, dir)
  return path == dir or dir == "/" or path:sub(1, #dir + 1) == dir .. "/"
end

-- Whether an entry of an effect says that something at, above or below a path is changed.
local function touches(entry, path)
  if type(entry) == "function" then
    return (entry("file.changed", path))
  end
  local of = entry[1]:find("^file%.") and entry[2]
  return type(of) == "string" and (is_at_or_below(of, path) or is_at_or_below(path, of))
end

local function touches_any(change, paths)
  for _, path in ipairs(change.scope ~= "elsewhere" and paths or {}) do
    for _, entry in ipairs(change.effect) do
      if touches(entry, path) then
        return true
      end
    end
  end
  return false
end

--- The newest foretold change that may alter what is read from some paths.
-- @param paths list of strings; nil: from anything at all
-- @param stamp number: only what was foretold later
-- @return table: unknown and stamp; nil when there is none
function Cache:touching(paths, stamp)
  for i = #self.foretold, 1, -1 do
    local change = self.foretold[i]
    if change.stamp <= stamp then
      return nil
    elseif not paths or change.scope == "anything" or touches_any(change, paths) then
      return change
    end
  end
end

-- When a change stated the answer to a question; 0 when none did.
function Cache:_stated(key, name, ...)
  for i = #self.rules, 1, -1 do
    if self.rules[i].fn(name, ...) then
      return math.max(self.rules[i].stamp, self.stated[key] or 0)
    end
  end
  return self.stated[key] or 0
end

-- Changes that may make what they do not state, by their scope.
local making = { made = true, more = true, anything = true }

--- The newest foretold change that may make what is not there, unless a later one said otherwise.
-- @param others boolean: leave out those that make what belongs to them
-- @param name string or nil: the question that is answered by "there is none"; nil: any
-- @param ... its arguments
-- @return table: unknown; nil when there is none
function Cache:making(others, name, ...)
  local stamp = name and self:_stated(fact.key(name, ...), name, ...) or 0
  for i = #self.foretold, 1, -1 do
    local change = self.foretold[i]
    local makes = making[change.scope] and not (others and change.scope == "made")
    if makes and change.stamp > stamp then
      return change
    end
  end
end

--- File the effect of a change that a dry run did not make.
-- @param effect list: entries { fact name, arguments..., value }, or functions
-- (name, arguments...) -> found, value for whole families of facts
-- @param title string: the change, for "known after …"
-- @param scope string: "host" (the effect says what it changes there), "made" (the same, but it may
-- make more), "more" (what it makes more may be anybody's: packages), "anything" (nobody has said
-- what it changes) or "elsewhere" (it is not a change of this host)
function Cache:assume(effect, title, scope)
  local change = { stamp = self:_tick(), unknown = unknown.new("known after: " .. title),
    effect = effect, scope = scope or "host" }
  table.insert(self.foretold, change)
  for _, entry in ipairs(effect) do
    if type(entry) == "table" then
      self.subjects[fact.subject(M.entry_key(entry))] = change
    end
  end
  self:_state(effect)
end

local function only_known(rule)
  return function(...)
    local found, value = rule(...)
    if found and not unknown.within(value) then
      return true, value
    end
  end
end

--- File the effect of a change that was made, and forget the rest. What the effect leaves unknown
-- is asked again.
-- @param effect list
function Cache:commit(effect)
  for key in pairs(self.stamps) do
    if not fact.find(key:match("^[^\31]*")).constant then
      self.stamps[key], self.values[key] = nil, nil
    end
  end
  self.rules, self.subjects = {}, {}
  local known = {}
  for _, entry in ipairs(effect) do
    if type(entry) == "function" then
      known[#known + 1] = only_known(entry)
    elseif not unknown.within(entry[#entry]) then
      known[#known + 1] = entry
    end
  end
  self:_state(known)
end

function Cache:_state(effect)
  for _, entry in ipairs(effect) do
    if type(entry) == "function" then
      self.rules[#self.rules + 1] = { stamp = self:_tick(), fn = entry }
    else
      local key = M.entry_key(entry)
      self:answer(key, unknown.guard(entry[#entry]))
      self.stated[key] = self.clock
    end
  end
end

--- The question that an effect's entry answers.
-- @param entry table: { fact name, arguments..., value }
-- @return string
function M.entry_key(entry)
  return fact.key(table.unpack(entry, 1, #entry - 1))
end

return M
