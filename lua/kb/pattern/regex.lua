-- Regular expressions for `~pattern`: the part of Python's that host names need.
-- An expression becomes a function that tries every way to match, with what
-- follows as its continuation; names are short, so that is quick enough, and for
-- expressions like (a*)*b, for which it never is, there is a limit.
local lpeg = require "lpeg"

local M = {}

local P, R, S, V, C, Cc, Cf = lpeg.P, lpeg.R, lpeg.S, lpeg.V, lpeg.C, lpeg.Cc, lpeg.Cf

-- A matcher is called with the text, a place in it, and the continuation: a
-- function that gets the place behind what was matched.

local function one_of(class)
  return function(text, at, go_on)
    return class:match(text, at) ~= nil and go_on(at + 1)
  end
end

local function first_place(text, at, go_on) return at == 1 and go_on(at) end
local function last_place(text, at, go_on) return at == #text + 1 and go_on(at) end
local function nothing(_, at, go_on) return go_on(at) end

local function both(a, b)
  return function(text, at, go_on)
    return a(text, at, function(next_at) return b(text, next_at, go_on) end)
  end
end

local function either(a, b)
  return function(text, at, go_on) return a(text, at, go_on) or b(text, at, go_on) end
end

local MOST_ROUNDS = 100000 -- of all repetitions in one name
local rounds = 0

-- As many as possible first; an empty round ends it.
local function repeated(item, least, most)
  local function round(text, at, done, go_on)
    rounds = rounds + 1
    if rounds > MOST_ROUNDS then error("there are too many ways to match", 0) end
    local more = done < most and item(text, at, function(next_at)
      return (next_at > at or done < least) and round(text, next_at, done + 1, go_on)
    end)
    return more or done >= least and go_on(at)
  end
  return function(text, at, go_on) return round(text, at, 0, go_on) end
end

local function quantified(item, least, most)
  if not least then return item end
  return repeated(item, tonumber(least), most == "" and math.huge or tonumber(most or least))
end

local classes = { d = R "09", w = R("az", "AZ", "09") + "_", s = S " \t\r\n\f\v" }
for letter, class in pairs { D = classes.d, W = classes.w, S = classes.s } do
  classes[letter] = 1 - class
end

local function range(first, last) return R(first .. last) end
local function add(a, b) return a + b end
local function invert(_, class) return 1 - class end

local special = S "\\^$.|?*+()[]{}"
local escaped = P "\\" * (C(S "dwsDWS") / classes + C(1 - R("az", "AZ", "09")) / P)
local member = escaped + C(1 - S "]\\") * "-" * C(1 - S "]\\") / range + C(1 - S "]\\") / P
local set = P "[" * (C "^" * Cf(member ^ 1, add) / invert + Cf(member ^ 1, add)) * "]"
local digits = C(R "09" ^ 1)
local quantifier = (P "*" * Cc("0", "") + P "+" * Cc("1", "") + P "?" * Cc("0", "1")
  + P "{" * digits * "," * C(R "09" ^ 0) * "}" + P "{" * digits * "}") * -S "?+"

local grammar = P {
  V "choice" * -P(1),
  choice = Cf(V "sequence" * (P "|" * V "sequence") ^ 0, either),
  sequence = Cf(Cc(nothing) * V "item" ^ 0, both),
  item = V "atom" * quantifier ^ -1 / quantified,
  atom = P "(" * P "?:" ^ -1 * -P "?" * V "choice" * ")" + P "^" * Cc(first_place)
    + P "$" * Cc(last_place)
    + (set + escaped + P "." * Cc(P(1)) + C(1 - special) / P) / one_of,
}

--- Make a test of a regular expression.
-- Understood are literals, `.`, `[a-z]`, `\d \w \s`, `( )`, `|`, `* + ? {m,n}`,
-- `^` and `$`. As in Ansible it must match at the beginning of a name, and need
-- not reach its end.
-- @param text string: without the ~
-- @return function(name) -> boolean, which raises a text when it would take too
--   long; or nil and a message
function M.compile(text)
  local matcher = grammar:match(text)
  if not matcher then
    return nil, ("the expression ~%s is not understood; there are . [a-z] \\d \\w \\s ( ) | "
      .. "* + ? {m,n} ^ $"):format(text)
  end
  return function(name)
    rounds = 0
    return matcher(name, 1, function() return true end) and true or false
  end
end

return M
