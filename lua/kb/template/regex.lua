-- Regular expressions as Python's re has them: a matcher that goes back when it
-- must, made of closures. Each node becomes a function of a place that gives
-- the end of the whole match, or nil; what follows a node is built into it.
--
-- Not supported: conditional groups, verbose mode, possessive repeats, and case
-- and classes of letters beyond ASCII.
local regex_parse = require "kb.template.regex_parse"
local regex_single = require "kb.template.regex_single"
local values = require "kb.template.values"

local M = {}

-- A match that goes back this often would seem to hang.
local MAX_STEPS = 5000000

local singles = regex_single.makers

local makers = {}

local function make(node, state, rest)
  local single = singles[node.kind]
  if not single then return makers[node.kind](node, state, rest) end
  local step = single(node, state)
  return function(at)
    local after = step(at)
    return after and rest(after)
  end
end

function makers.sequence(node, state, rest)
  for i = #node, 1, -1 do rest = make(node[i], state, rest) end
  return rest
end

function makers.choice(node, state, rest)
  local branches = {}
  for i, branch in ipairs(node) do branches[i] = make(branch, state, rest) end
  return function(at)
    for _, branch in ipairs(branches) do
      local found = branch(at)
      if found then return found end
    end
  end
end

function makers.group(node, state, rest)
  local from, to = 2 * node.group - 1, 2 * node.group
  local opened = "open" .. node.group
  local inner = make(node.inner, state, function(at)
    local marks = state.marks
    local old_from, old_to = marks[from], marks[to]
    marks[from], marks[to] = state[opened], at
    local found = rest(at)
    if not found then marks[from], marks[to] = old_from, old_to end
    return found
  end)
  return function(at)
    local old = state[opened]
    state[opened] = at
    local found = inner(at)
    state[opened] = old
    return found
  end
end

function makers.reference(node, state, rest)
  return function(at)
    local from, to = state.marks[2 * node.group - 1], state.marks[2 * node.group]
    if not from then return nil end
    local wanted = state.subject:sub(from, to - 1)
    local present = state.subject:sub(at, at + #wanted - 1)
    if node.ignorecase then wanted, present = wanted:lower(), present:lower() end
    return wanted == present and rest(at + #wanted) or nil
  end
end

local function tick(state)
  state.steps = state.steps + 1
  if state.steps > MAX_STEPS then
    values.fail(("regular expression '%s' takes too long on this text"):format(state.pattern))
  end
end

local function repeat_single(node, state, rest)
  local step = singles[node.inner.kind](node.inner, state)
  local from, to = node.from, node.to
  if node.lazy then
    return function(at)
      for count = 0, to do
        tick(state)
        local found = count >= from and rest(at)
        if found then return found end
        at = count < to and step(at)
        if not at then return nil end
      end
    end
  end
  return function(at)
    local places, count = { [0] = at }, 0
    while count < to do
      local after = step(places[count])
      if not after then break end
      count = count + 1
      places[count] = after
    end
    for kept = count, from, -1 do
      tick(state)
      local found = rest(places[kept])
      if found then return found end
    end
  end
end

-- Repeats of larger parts count their rounds in the state; each level puts the
-- count back as it was before it gives up.
local function repeat_group(node, state, rest)
  local counter, place = {}, {}
  local counts = state.counts
  local body
  local function round(at, count, last)
    counts[counter], counts[place] = count + 1, at
    local found = body(at)
    if not found then counts[counter], counts[place] = count, last end
    return found
  end
  local function loop(at)
    tick(state)
    local count, last = counts[counter], counts[place]
    if count < node.from then return round(at, count, last) end
    local may_go_on = count < node.to and at ~= last
    if node.lazy then
      return rest(at) or may_go_on and round(at, count, last) or nil
    end
    return may_go_on and round(at, count, last) or rest(at)
  end
  body = make(node.inner, state, loop)
  return function(at)
    local count, last = counts[counter], counts[place]
    counts[counter], counts[place] = 0, nil
    local found = loop(at)
    if not found then counts[counter], counts[place] = count, last end
    return found
  end
end

makers["repeat"] = function(node, state, rest)
  if singles[node.inner.kind] then return repeat_single(node, state, rest) end
  return repeat_group(node, state, rest)
end

local function same(at) return at end

local function ahead(wanted)
  return function(node, state, rest)
    local inner = make(node.inner, state, same)
    return function(at)
      if (inner(at) ~= nil) == wanted then return rest(at) end
    end
  end
end
makers.ahead, makers.not_ahead = ahead(true), ahead(false)

local function behind(wanted)
  return function(node, state, rest)
    local target
    local inner = make(node.inner, state, function(at) return at == target and at or nil end)
    return function(at)
      local found = false
      for from = at, 1, -1 do
        target = at
        if inner(from) then found = true break end
      end
      if found == wanted then return rest(at) end
    end
  end
end
makers.behind, makers.not_behind = behind(true), behind(false)

local function position(holds)
  return function(_, state, rest)
    return function(at)
      if holds(state.subject, at) then return rest(at) end
    end
  end
end

makers.text_start = position(function(_, at) return at == 1 end)
makers.text_end = position(function(subject, at) return at == #subject + 1 end)
makers.line_start = position(function(subject, at)
  return at == 1 or subject:byte(at - 1) == 10
end)
makers.line_end = position(function(subject, at)
  return at == #subject + 1 or subject:byte(at) == 10
end)
makers.last_line_end = position(function(subject, at)
  return at == #subject + 1 or at == #subject and subject:byte(at) == 10
end)

local function at_boundary(subject, at)
  local byte_before, byte_after = subject:byte(at - 1), subject:byte(at)
  local before = at > 1 and byte_before and regex_parse.is_word(byte_before) or false
  local after = byte_after and regex_parse.is_word(byte_after) or false
  return before ~= after
end
makers.boundary = position(at_boundary)
makers.no_boundary = position(function(subject, at) return not at_boundary(subject, at) end)

local Regex = {}
Regex.__index = Regex

local function make_regex(pattern, options)
  local node, groups, names = regex_parse.parse(pattern, options)
  local state = { pattern = pattern, counts = {}, marks = {}, steps = 0 }
  local regex = setmetatable({ groups = groups, names = names, state = state }, Regex)
  regex.run = make(node, state, function(at)
    if state.whole and at ~= #state.subject + 1 then return nil end
    if state.must_advance and at == state.from then return nil end
    return at
  end)
  return regex
end

local cache, cached = {}, 0

--- Compile a regular expression; the same one is compiled only once.
-- @param pattern string
-- @param options table or nil: `ignorecase`, `multiline`
-- @return a regex
function M.compile(pattern, options)
  if type(pattern) ~= "string" then
    if values.is_undefined(pattern) then values.fail_undefined(pattern) end
    values.fail("a regular expression must be a string")
  end
  options = options or {}
  local key = (options.ignorecase and "i" or "-") .. (options.multiline and "m" or "-") .. pattern
  local regex = cache[key]
  if not regex then
    if cached > 500 then cache, cached = {}, 0 end
    regex = make_regex(pattern, options)
    cache[key], cached = regex, cached + 1
  end
  return regex
end

--- Find the first match.
-- @param subject string
-- @param from integer: the byte to start at
-- @param anchor string or nil: "start", only there; "whole", there and to the end
-- @param must_advance boolean or nil: no empty match at the start
-- @return the first byte, the byte after the match, and a table of where the
--   groups are: 2n-1 the first byte, 2n the byte after; or nil
function Regex:exec(subject, from, anchor, must_advance)
  local state = self.state
  state.subject, state.steps, state.whole = subject, 0, anchor == "whole"
  for at = from, anchor and from or #subject + 1 do
    local byte = subject:byte(at)
    if not (byte and byte >= 128 and byte < 192) then
      state.marks, state.from, state.must_advance = {}, at, must_advance and at == from
      local after = self.run(at)
      if after then return at, after, state.marks end
    end
  end
end

--- Go through all matches, as Python's finditer does.
-- @return an iterator of what `exec` gives
function Regex:each(subject)
  local at, must_advance = 1, false
  return function()
    if not at or at > #subject + 1 then return nil end
    local from, after, marks = self:exec(subject, at, nil, must_advance)
    if not from then
      at = nil
      return nil
    end
    at, must_advance = after, after == from
    return from, after, marks
  end
end

--- Give the text of a group of a match: nil if it took no part.
function Regex:group(subject, marks, group)
  local from = marks[2 * group - 1]
  return from and subject:sub(from, marks[2 * group] - 1)
end

--- Find the number of a group from its number or name.
function Regex:group_number(name)
  local number = math.tointeger(tonumber(name)) or self.names[name]
  if not number or number > self.groups then
    values.fail(("the regular expression has no group '%s'"):format(tostring(name)))
  end
  return number
end

local CONTROLS = { n = "\n", t = "\t", r = "\r", f = "\f", v = "\v", a = "\a", ["\\"] = "\\" }

-- A replacement as a list of strings and numbers of groups.
local function parse_replacement(regex, text)
  local parts, at = {}, 1
  while true do
    local from = text:find("\\", at, true)
    parts[#parts + 1] = text:sub(at, (from or 0) - 1)
    if not from then return parts end
    local name, after = text:match("^g<([%w_]+)>()", from + 1)
    if not name then name, after = text:match("^([1-9]%d?)()", from + 1) end
    if name then
      parts[#parts + 1] = regex:group_number(name)
    else
      local letter = text:sub(from + 1, from + 1)
      after = from + 2
      if letter == "0" then
        parts[#parts + 1] = "\0"
      elseif CONTROLS[letter] then
        parts[#parts + 1] = CONTROLS[letter]
      elseif letter:find("^%a$") or letter == "" then
        values.fail(("bad escape '\\%s' in the replacement"):format(letter))
      else
        parts[#parts + 1] = "\\" .. letter
      end
    end
    at = after
  end
end

--- Replace all matches.
function Regex:replace(subject, replacement)
  local parts = parse_replacement(self, replacement)
  local result, at = {}, 1
  for from, after, marks in self:each(subject) do
    result[#result + 1] = subject:sub(at, from - 1)
    for _, part in ipairs(parts) do
      if type(part) == "number" then
        part = part == 0 and subject:sub(from, after - 1) or self:group(subject, marks, part) or ""
      end
      result[#result + 1] = part
    end
    at = after
  end
  result[#result + 1] = subject:sub(at)
  return table.concat(result)
end

return M
