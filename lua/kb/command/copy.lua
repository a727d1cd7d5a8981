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

local function prepare(opts, from, to)
  local mode, message = mode_of(opts.mode)
  if opts.mode and not mode then
    return nil, message
  elseif opts.fetch then
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

local function run(opts, args)
  local pattern
  if #opts.host == 0 then
    pattern = table.remove(args, 1)
  end
  if #args ~= 2 then
    return nil, "it takes " .. (#opts.host == 0 and "PATTERN " or "") .. "FROM TO"
  end
  local each, message = prepare(opts, args[1], args[2])
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
put the file into. A file arrives whole or not at all, and is not sent where it is already. With
--fetch, FROM is a file on the hosts and TO a local directory, which gets one file per host, named
like it.]],
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
