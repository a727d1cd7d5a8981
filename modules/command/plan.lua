--- The plan of a command: its guards, and what its success will have made true.

local kb = require "kb"

local M = {}

local LONGEST_TITLE = 70

-- The answer of its fact at which there is nothing to do, which is also what a command that ran has
-- made of it: but nobody promises that of only_if.
local guards = {
  { name = "creates", fact = "file.exists", over = true, says = "%s is there already" },
  { name = "removes", fact = "file.exists", over = false, says = "%s is not there" },
  { name = "unless", fact = "command.test", over = true, says = "this succeeds: %s" },
  { name = "only_if", fact = "command.test", over = false, says = "this fails: %s",
    promises_nothing = true },
}

local function question(args, guard)
  local reads = guard.fact == "command.test" and args.reads or {}
  return { guard.fact, args[guard.name], table.unpack(reads) }
end

local function guards_of(args)
  local list = {}
  for _, guard in ipairs(guards) do
    list[#list + 1] = args[guard.name] and guard or nil
  end
  return list
end

--- What the guards need to know.
-- @param args table
-- @return list of questions
function M.questions(args)
  local list = {}
  for i, guard in ipairs(guards_of(args)) do
    list[i] = question(args, guard)
  end
  return list
end

-- What a guard's fact says; an unknown when a dry run cannot know it.
local function answer_of(args, guard, fact)
  local asked = question(args, guard)
  local answer = kb.after(fact, function(ask)
    return ask(table.unpack(asked))
  end)
  local soon = answer == false and guard.fact == "file.exists"
    and kb.may_appear(fact, table.unpack(asked))
  return soon and kb.unknown(soon) or answer
end

-- Why there is nothing to do, if so; and otherwise the guards that a dry run does not know.
local function look(args, fact)
  local open = {}
  for _, guard in ipairs(guards_of(args)) do
    local answer = answer_of(args, guard, fact)
    if kb.is_unknown(answer) then
      open[#open + 1] = { guard = guard, answer = answer }
    elseif (answer and true or false) == guard.over then
      return guard.says:format(args[guard.name])
    end
  end
  return nil, open
end

local function promised(args, guard)
  if guard.promises_nothing then
    return {}
  end
  local entry = question(args, guard)
  entry[#entry + 1] = guard.over
  return { entry, guard.name == "removes" and
    { "file.stat", args.removes, { kind = "absent" } } or nil }
end

local function append(list, more)
  table.move(more, 1, #more, #list + 1, list)
end

-- The same facts, of which nobody knows what they become.
local function in_doubt(effect, why)
  local list = {}
  for i, entry in ipairs(effect) do
    if type(entry) == "table" then
      list[i] = table.move(entry, 1, #entry - 1, 1, {})
      table.insert(list[i], kb.unknown(why))
    else
      list[i] = function(...)
        return entry(...), kb.unknown(why)
      end
    end
  end
  return list
end

-- What will be true; nil when nobody has said anything of it. When it is not known whether the
-- command runs, what the only open guard promises is true in either case, and the rest in doubt.
local function effect_of(args, open, title)
  local effect, why = {}, "known after: " .. title
  for _, guard in ipairs(guards_of(args)) do
    local entries = promised(args, guard)
    local sure = #open == 0 or #open == 1 and open[1].guard == guard
    append(effect, sure and entries or in_doubt(entries, why))
  end
  append(effect, #open == 0 and args.effect or in_doubt(args.effect or {}, why))
  return (args.effect or #effect > 0) and effect or nil
end

local function title_of(args)
  if args.title then
    return args.title
  end
  local line = tostring(args.text):match("^%s*([^\n]*)")
  local cut = #line > LONGEST_TITLE or tostring(args.text):find("\n%s*%S")
  return "run: " .. (cut and line:sub(1, LONGEST_TITLE - 2) .. " …" or line)
end

local function check_reads(args)
  if args.reads and not args.unless and not args.only_if then
    kb.refuse("reads says what the tests of unless and only_if look at, and there is neither")
  end
  for _, path in ipairs(args.reads or {}) do
    if not path:find("^/") then
      kb.refuse(("reads: %q is not an absolute path"):format(path))
    end
  end
end

local function check(args)
  check_reads(args)
  for name, value in pairs(args.env or {}) do
    if kb.is_secret(value) then
      kb.refuse(("the secret %s would be seen in the environment of a process"):format(name),
        "give it by stdin: stdin = secret, and `read -r x` in the text")
    elseif not tostring(name):find("^[%a_][%w_]*$") then
      kb.refuse(("%q cannot be the name of an environment variable"):format(tostring(name)))
    end
  end
  local ok = {}
  for i, code in ipairs(args.ok) do
    ok[i] = math.tointeger(tonumber(code))
      or kb.refuse(("ok: %q is not an exit status"):format(tostring(code)))
  end
  return ok
end

local function doubt(args, open)
  return ("whether it is needed is %s (%s = %q)"):format(kb.reason(open.answer), open.guard.name,
    args[open.guard.name])
end

--- The plan of command.run.
-- @param args table
-- @param fact function
-- @return change, or nil and a reason
function M.run(args, fact)
  local ok = check(args)
  local reason, open = look(args, fact)
  if reason then
    return nil, reason
  end
  local title = title_of(args)
  return {
    title = title,
    actions = { { run = args.text, stdin = args.stdin, env = args.env, cwd = args.cwd, ok = ok,
      private = args.private } },
    effect = effect_of(args, open, title),
    partial = args.effect == nil or nil,
    perhaps = #open > 0 and doubt(args, open[1]) or nil,
    preview = args.preview,
    result = function(outcomes)
      local last = outcomes[#outcomes]
      return { out = last.out, err = last.err, code = last.code }
    end,
  }
end

return M
