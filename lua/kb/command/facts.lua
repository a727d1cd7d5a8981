--- kbrun facts: ask hosts what is there.
local common = require "kb.command.common"
local data = require "kb.data"
local ending = require "kb.ending"
local fact = require "kb.fact"
local fanout = require "kb.command.fanout"
local json = require "kb.json"

local function list_all()
  for _, name in ipairs(fact.names()) do
    io.write(name, "\n")
  end
  return common.exit.done
end

-- The pattern, the fact's name and its arguments.
local function parts(opts, args)
  if #opts.host > 0 then
    return nil, args[1], table.move(args, 2, #args, 1, {})
  end
  return args[1], args[2], table.move(args, 3, #args, 1, {})
end

-- Permission bits as operations take them: "0644".
local function with_octal_modes(value)
  if data.kind(value) ~= "map" and data.kind(value) ~= "list" then
    return value
  end
  local copy = data.kind(value) == "list" and data.list() or data.map()
  for key, item in data.pairs(value) do
    if key == "mode" and math.type(item) == "integer" then
      copy[key] = ("%04o"):format(item)
    else
      copy[key] = with_octal_modes(item)
    end
  end
  return copy
end

local function shown(value)
  return json.encode(value, { sort = true, lossy = true, indent = 2, other = tostring })
end

-- Ask on one host; answers are collected for the end, or printed as JSON at once.
local function asker(opts, question, collected)
  return function(remote, settings)
    local result, message, code = remote:run(question.command, { user = fanout.user(settings),
      timeout = 60 })
    if not result then
      return nil, message, code
    elseif result.signal then
      return nil, ending.of(result), "EPROTO"
    end
    local ok, value, why = pcall(question.fact.parse, result.out, result.code,
      table.unpack(question.args))
    if not ok or value == nil then
      return nil, ("%s: %s"):format(question.name, tostring(why or value or "no answer")), "EPROTO"
    end
    value = with_octal_modes(value)
    if opts.json then
      fanout.write_json { host = settings.name, fact = question.name, args = question.args,
        value = value }
    else
      collected[#collected + 1] = { settings.name, shown(value) }
    end
    return true
  end
end

local function run(opts, args)
  local pattern, name, words = parts(opts, args)
  if #args == 0 and #opts.host == 0 then
    return list_all()
  elseif not name then
    return nil, "which fact? kbrun facts lists them, kbrun doc NAME explains one"
  end
  local question = { name = name, args = words, fact = fact.find(name) }
  local ok, command = pcall(question.fact.ask, question.fact, table.unpack(words))
  if not ok or #words > question.fact:most() then
    return nil, ("%s does not take these arguments; see kbrun doc %s"):format(name, name)
  end
  question.command = command
  local hosts, message = fanout.hosts(opts, pattern)
  if not hosts then
    return nil, message
  end
  local collected = {}
  local status = fanout.run(opts, hosts, asker(opts, question, collected))
  table.sort(collected, function(a, b)
    return a[1] < b[1]
  end)
  fanout.grouped(collected)
  return status
end

return {
  name = "facts",
  summary = "ask hosts for facts, which change nothing",
  description = [[
Asks each host and prints the answers as JSON, equal ones once, headed by their hosts. Permission
bits are octal, as operations take them. Without arguments, lists the facts there are.]],
  arguments = {
    { name = "PATTERN", optional = true, help = "which hosts of the inventory; not with --host" },
    { name = "FACT", optional = true, help = "the fact's name, such as file.stat" },
    { name = "ARGUMENT", optional = true, list = true, help = "what it is asked about" },
  },
  options = common.options(common.inventory, fanout.options, common.connection,
    common.only(common.output, "json", "no-color")),
  run = run,
}
