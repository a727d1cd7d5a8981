--- kbrun PLAYBOOK...: run playbooks, or say what they would do.
local access = require "kb.command.access"
local again = require "kb.again"
local common = require "kb.command.common"
local confirm = require "kb.confirm"
local err = require "kb.err"
local extra_vars = require "kb.command.extra_vars"
local inventory = require "kb.inventory"
local inventory_report = require "kb.inventory.report"
local kb_check = require "kb.check"
local play = require "kb.play"

local report = require "kb.report"
local runner = require "kb.runner"
local sys = require "kb.core.sys"
local task = require "kb.core.task"
local trail = require "kb.trail"

local extra_option = { long = "extra", short = "e", value = "NAME=VALUE", list = true,
  help = "set a variable over all others; @FILE reads many from YAML" }

-- What another command must say, too, to mean the same hosts.
local same_hosts = common.options(common.only(common.inventory, "inventory"), { extra_option },
  common.connection)

local function view_of(opts)
  if opts.json then
    return require("kb.report.json").new()
  end
  local verbose = opts.verbose or 0
  local options = { verbose = verbose, quiet = opts.quiet,
    dry_run = opts.dry_run or opts.offline,
    diff = opts.diff or opts.dry_run or opts.offline or verbose > 0 }
  if sys.isatty(1) and sys.getenv("TERM") ~= "dumb" and not opts.quiet then
    return require("kb.report.live").new(options)
  end
  return require("kb.report.lines").new(options)
end

local function exit_status(summary, opts)
  if summary.interrupted then
    return common.exit.interrupted
  elseif summary.counts.failed > 0 then
    return common.exit.failed
  elseif summary.counts.unreachable > 0 then
    return common.exit.unreachable
  elseif opts.exit_code
    and summary.steps.changed + summary.steps.unknown + summary.counts.ended > 0 then
    return common.exit.changes
  end
  return common.exit.done
end

-- Ctrl-C ends remote commands, too, and says where everything stood; a second one does not wait.
local function watch_signals(main)
  for _, name in ipairs { "INT", "TERM", "HUP" } do
    task.background(function()
      local signal <close> = task.signal(name)
      signal:wait()
      io.stderr:write("\nkbrun: ending what runs on the hosts; once more to stop at once\n")
      main:cancel("interrupted")
      signal:wait()
      os.exit(common.exit.interrupted)
    end)
  end
end

local function run_plays(plays, options)
  local main = task.spawn(runner.run, plays, options)
  watch_signals(main)
  return main:join()
end

-- Whether all plays are for this machine, which needs no inventory.
local function is_local(args)
  for _, one in ipairs(play.load(args).plays) do
    if one.hosts ~= "localhost" then
      return false
    end
  end
  return true
end

-- The inventory that the options name, with what the command line says of connections over it.
local function load_inventory(opts, args)
  local sources, message = inventory.sources(opts.inventory)
  local over, inv
  if not sources and is_local(args) then
    sources = {}
  end
  if sources then
    over, message = access.settings(opts)
  end
  if over then
    inv, message = inventory.load(sources, { playbook_dir = args[1]:match("^(.*)/[^/]*$") or "." })
  end
  if not inv then
    err.raise("usage", tostring(message))
  end
  for _, warning in ipairs(inv:warnings()) do
    io.stderr:write(inventory_report.warning(warning), "\n")
  end
  return inv, over
end

local function checked(args, options)
  local findings, playbook = kb_check.check(args, options)
  if #findings > 0 then
    for _, f in ipairs(findings) do
      io.stderr:write(kb_check.line(f))
    end
    return nil
  end
  return playbook
end

local function run(opts, args)
  local dry_run = opts.dry_run or opts.offline or false
  if dry_run and opts.verify then
    return nil, "--verify asks after each change, and a preview makes none: give one of the two"
  end
  local inv, over = load_inventory(opts, args)
  local extra = extra_vars(opts.extra)
  local playbook = checked(args, { inventory = inv, extra_vars = extra })
  if not playbook then
    return common.exit.usage
  end
  local plays = playbook:tagged(opts.tags, opts.skip_tags)
  local refusal = confirm.refusal(plays, dry_run or opts.yes or sys.isatty(0))
  if refusal then
    err.raise("usage", refusal)
  end
  local rep = report.new({ view_of(opts) }, opts.json or (opts.verbose or 0) > 0)
  local summary = run_plays(plays, { inventory = inv, report = rep, limit = opts.limit,
    open = function(settings)
      return require("kb.remote").open(access.apply(settings, over))
    end,
    apply = not dry_run, yes = opts.yes, offline = opts.offline, verify = opts.verify,
    retries = opts.retries, forks = opts.forks,
    extra_vars = extra, trails = trail.load(args), again = again.words(same_hosts, opts) })
  summary.dry_run = dry_run
  trail.save(args, plays)
  rep:finish(summary)
  return exit_status(summary, opts)
end

return {
  name = "run",
  summary = "run playbooks",
  description = [[
Connects to the hosts of each play, asks what is there, and changes what is not as asked.
With --dry-run it says what it would change, and changes nothing. Exit status: 0 done, 2 an error in
the playbook or the command line (nothing was connected), 3 a host was unreachable, 4 something
failed on a host, 5 interrupted.]],
  arguments = {
    { name = "PLAYBOOK", list = true, help = "a playbook: a Lua file that declares plays" },
  },
  options = common.options(common.inventory, {
    group = "Run",
    { long = "dry-run", short = "n", help = "say what would be done, and change nothing" },
    { long = "offline", help = "preview without any host, as if all were just installed" },
    { long = "yes", short = "y", help = "answer yes to what a playbook asks before it acts" },
    { long = "diff", short = "d", help = "show the differences of what is changed" },
    { long = "verify", help = "ask the hosts after each change whether it came true" },
    { long = "exit-code", help = "exit with 10 when there was something to do" },
    { long = "tags", short = "t", value = "TAG", list = true, help = "only plays with this tag" },
    { long = "skip-tags", value = "TAG", list = true, help = "no plays with this tag" },
    extra_option,
    { long = "retries", value = "N", type = "integer", default = 2, min = 0,
      help = "how often to try again to reach a host, also when its connection is lost" },
  }, common.connection, common.output),
  run = run,
}
