--- kbrun copy: bring files to many hosts, or get one from each.
local common = require "kb.command.common"
local fanout = require "kb.command.fanout"
local sys = require "kb.core.sys"

local function mode_of(text)
  if not text then
    return nil
  end
  return text:find("^[0-7][0-7][0-7][0-7]?$") and tonumber(text, 8) or nil,
    ("--mode wants octal digits such as 0644, not %q"):format(text)
end

local function say(opts, settings, info, sent)
  if opts.json then
    fanout.write_json { host = settings.name, changed = info.changed, bytes = sent }
  elseif not opts.quiet then
    io.write(("%s: %s\n"):format(settings.name,
      info.changed and ("%d bytes"):format(sent) or "the same already"))
    io.flush()
  end
  return true
end

-- A directory as the destination means the same name in it.
local function named_in(path, from)
  return path:find("/$") and path .. from:match("([^/]+)/*$") or path
end

local function uploader(opts, from, to, mode)
  local directory = (sys.stat(from) or {}).kind == "directory"
  return function(remote, settings)
    local spec = { path = to, owner = opts.owner, group = opts.group, user = fanout.user(settings) }
    local ok, info, code
    if directory then
      spec.dir = from
      ok, info, code = remote:put_tree(spec)
    else
      spec.file, spec.mode, spec.path = from, mode, named_in(to, from)
      spec.backup, spec.validate = opts.backup, opts.validate
      ok, info, code = remote:put(spec)
    end
    if not ok then
      return nil, info, code
    end
    return say(opts, settings, info, info.sent)
  end
end

-- What comes from hosts is named by us alone: their names as the inventory has them.
local function downloader(opts, from, to, mode)
  return function(remote, settings)
    local name = settings.name:gsub("[^%w._@:-]", "_"):gsub("^%.", "_")
    local ok, info, code = remote:get { path = from, to = ("%s/%s"):format(to, name),
      mode = mode, user = fanout.user(settings) }
    if not ok then
      return nil, info, code
    end
    return say(opts, settings, info, info.received)
  end
end

local function prepare(opts, from, to, fetch)
  local mode, message = mode_of(opts.mode)
  if opts.mode and not mode then
    return nil, message
  elseif fetch then
    local ok
    ok, message = sys.mkdir(to)
    return ok and downloader(opts, from, to, mode), message
  end
  local stat
  stat, message = sys.stat(from)
  if stat and stat.kind == "directory" and (opts.mode or opts.backup or opts.validate) then
    return nil, "--mode, --backup and --validate are for a single file, not for a directory"
  end
  return stat and uploader(opts, from, to, mode), message
end

-- PATTERN:/path, as scp has it. No pattern has a slash.
local function on_hosts(word)
  return word:match("^([^/]*[^/:]):(/.*)$")
end

-- PATTERN FROM TO, FROM PATTERN:TO or PATTERN:FROM TO; without PATTERN when hosts are listed.
-- Returns pattern, from, to and whether it is from the hosts.
local function places(opts, args)
  if #opts.host > 0 then
    if #args == 2 then
      return nil, args[1], args[2], opts.fetch
    end
    return nil, nil, "it takes FROM TO"
  elseif #args == 3 then
    return args[1], args[2], args[3], opts.fetch
  elseif #args ~= 2 then
    return nil, nil, "it takes PATTERN FROM TO, FROM PATTERN:TO or PATTERN:FROM TO"
  end
  local here, from = on_hosts(args[1])
  local there, to = on_hosts(args[2])
  if here and there then
    return nil, nil, "from hosts to hosts is two steps: copy here first"
  elseif here then
    return here, from, args[2], true
  elseif there and not opts.fetch then
    return there, args[1], to, false
  end
  return nil, nil, "which hosts? PATTERN FROM TO, FROM PATTERN:TO or PATTERN:FROM TO, "
    .. "with absolute paths on hosts"
end

local function run(opts, args)
  local pattern, from, to, fetch = places(opts, args)
  if not from then
    return nil, to
  end
  local each, message = prepare(opts, from, to, fetch)
  if not each then
    return nil, message
  end
  local hosts
  hosts, message = fanout.hosts(opts, pattern)
  if not hosts then
    return nil, message
  end
  return fanout.run(opts, hosts, each)
end

return {
  name = "copy",
  summary = "bring a file or directory to many hosts, or get a file from each",
  description = [[
FROM is a local file or directory, TO its path on the hosts; a TO that ends with / is a directory to
put the file into. A file that is new there has the mode 0644 unless --mode says otherwise; those of
a directory keep theirs. A file arrives whole or not at all, and is not sent where it is already;
what came of a large one before the connection was lost is not sent again. With --fetch, FROM is a
file on the hosts and TO a local directory, which gets one file per host, named like it. Both can be
said as with scp: kbrun copy FILE 'web*:/etc/motd', kbrun copy 'web*:/etc/motd' DIRECTORY.]],
  arguments = {
    { name = "PATTERN", optional = true, help = "which hosts of the inventory; not with --host" },
    { name = "FROM", optional = true, help = "what to copy" },
    { name = "TO", optional = true, help = "where to" },
  },
  options = common.options(common.inventory, fanout.options, {
    group = "Copy",
    { long = "fetch", help = "get a file from each host" },
    { long = "owner", value = "NAME", help = "the owner there" },
    { long = "group", value = "NAME", help = "the group there" },
    { long = "mode", value = "MODE", help = "the permission bits, such as 0644" },
    { long = "backup", help = "keep what was there under another name" },
    { long = "validate", value = "COMMAND",
      help = "a command that must succeed on the new file (%s) before it counts" },
  }, common.connection, common.only(common.output, "json", "quiet", "no-color")),
  run = run,
}
