--- The plan of a command: its guards, and what its success will have made true.

local kb = require "kb"

local M = {}

local LONGEST_TITLE = 70

--- What the guards need to know.
-- @param args table
-- @return list of questions
function M.questions(args)
  local list = {}
  for _, field in ipairs { "creates", "removes" } do
    if args[field] then
      list[#list + 1] = { "file.exists", args[field] }
    end
  end
  for _, field in ipairs { "unless", "only_if" } do
    if args[field] then
      list[#list + 1] = { "command.test", args[field] }
    end
  end
  return list
end

-- Why there is nothing to do, if so.
local function done(args, fact)
  if args.creates and fact("file.exists", args.creates) then
    return args.creates .. " is there already"
  elseif args.removes and not fact("file.exists", args.removes) then
    return args.removes .. " is not there"
  elseif args.unless and fact("command.test", args.unless) then
    return "this succeeds: " .. args.unless
  elseif args.only_if and not fact("command.test", args.only_if) then
    return "this fails: " .. args.only_if
  end
end

local function effect_of(args)
  local effect = {}
  if args.creates then
    effect[1] = { "file.exists", args.creates, true }
  end
  if args.removes then
    table.move({ { "file.exists", args.removes, false },
      { "file.stat", args.removes, { kind = "absent" } } }, 1, 2, #effect + 1, effect)
  end
  if args.unless then
    effect[#effect + 1] = { "command.test", args.unless, true }
  end
  return table.move(args.effect or {}, 1, #(args.effect or {}), #effect + 1, effect)
end

local function title_of(args)
  if args.title then
    return args.title
  end
  local line = tostring(args.text):match("^%s*([^\n]*)")
  local cut = #line > LONGEST_TITLE or tostring(args.text):find("\n%s*%S")
  return "run: " .. (cut and line:sub(1, LONGEST_TITLE - 2) .. " …" or line)
end

local function check(args)
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

--- The plan of command.run.
-- @param args table
-- @param fact function
-- @return change, or nil and a reason
function M.run(args, fact)
  local ok = check(args)
  local reason = done(args, fact)
  if reason then
    return nil, reason
  end
  return {
    title = title_of(args),
    actions = { { run = args.text, stdin = args.stdin, env = args.env, cwd = args.cwd, ok = ok } },
    effect = effect_of(args),
    preview = args.preview,
    result = function(outcomes)
      local last = outcomes[#outcomes]
      return { out = last.out, err = last.err, code = last.code }
    end,
  }
end

return M
