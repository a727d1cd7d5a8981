--- kbrun exec: run a command on many hosts.
local common = require "kb.command.common"
local ending = require "kb.ending"
local fanout = require "kb.command.fanout"
local quote = require "kb.quote"

-- The pattern and the shell text: one word is shell text, several are a command and its arguments.
local function parts(opts, args)
  local words = args
  local pattern
  if #opts.host == 0 then
    pattern = args[1]
    words = table.move(args, 2, #args, 1, {})
  elseif (args.before_dashes or 0) > 0 then
    return nil, "with --host there is no pattern: kbrun exec --host LIST -- COMMAND..."
  end
  if #words == 0 then
    return nil, "which command? kbrun exec PATTERN -- COMMAND..."
  end
  return #words == 1 and words[1] or quote.list(words), pattern
end

local function runner(opts, command, width, collected)
  local live = not (opts.json or opts.group)
  return function(remote, settings)
    local write = live and fanout.writer(settings.name, width)
    local result, message, code = remote:run(command, { user = fanout.user(settings),
      timeout = opts.command_timeout, on_output = write, discard = live, combine = opts.group })
    if write then
      write("out")
      write("err")
    end
    if not result then
      return nil, message, code
    elseif opts.json then
      fanout.write_json { host = settings.name, code = result.code, signal = result.signal,
        maybe_signal = result.maybe_signal, out = result.out, err = result.err,
        seconds = result.seconds }
    elseif opts.group then
      collected[#collected + 1] = { settings.name, result.out }
    end
    return result.code == 0, result.code ~= 0 and ending.of(result) or nil
  end
end

local function run(opts, args)
  local command, pattern = parts(opts, args)
  if not command then
    return nil, pattern
  end
  local hosts, message = fanout.hosts(opts, pattern)
  if not hosts then
    return nil, message
  end
  local collected, place = {}, {}
  for i, settings in ipairs(hosts) do
    place[settings.name] = i
  end
  local status = fanout.run(opts, hosts, runner(opts, command, fanout.width(hosts), collected))
  table.sort(collected, function(a, b)
    return place[a[1]] < place[b[1]]
  end)
  fanout.grouped(collected)
  return status
end

return {
  name = "exec",
  summary = "run a command on many hosts",
  description = [[
Prints each line as it comes, behind the name of its host; what a command writes to standard error
goes to standard error. A COMMAND of one word is shell text ('uptime; df -h'), several words are a
command and its arguments, taken exactly. Ctrl-C ends the commands on the hosts too.]],
  arguments = {
    { name = "PATTERN", optional = true,
      help = "which hosts of the inventory, such as masters:!m2; not with --host" },
    { name = "COMMAND", optional = true, list = true, help = "what to run there" },
  },
  options = common.options(common.inventory, fanout.options, {
    group = "Command",
    { long = "group", short = "g",
      help = "print when all are done, equal outputs once, headed by their hosts" },
    { long = "command-timeout", value = "TIME", type = "duration", min = 0.1,
      help = "end the command where it takes longer" },
  }, common.connection, common.only(common.output, "json", "no-color")),
  run = run,
}
