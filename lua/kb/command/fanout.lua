--- What exec and copy share: which hosts are meant, work on many of them at a time, and what is
-- said of each.
local access = require "kb.command.access"
local common = require "kb.command.common"
local err = require "kb.err"
local inventory = require "kb.inventory"
local json = require "kb.json"
local remote = require "kb.remote"
local secret = require "kb.secret"
local task = require "kb.core.task"
local term = require "kb.term"

local M = {}

--- Options that exec and copy have beside those of all commands.
M.options = {
  group = "Inventory",
  { long = "host", short = "H", value = "LIST", list = true,
    help = "work on these hosts, without an inventory: user@host:port,host2,local" },
}

-- user@host:port, user@[::1]:port, or the word local.
local function ad_hoc(word)
  if word == "local" then
    return { name = word, transport = "local" }
  end
  local user, rest = word:match("^([^@]+)@(.+)$")
  rest = rest or word
  local host, port = rest:match("^%[([%x:.]+)%]:?(%d*)$")
  if not host then
    host, port = rest:match("^([^%s:@%[%]]+):?(%d*)$")
  end
  if not host or rest:find(":$") then
    return nil, ("--host: %q is no host; it is written user@host:port"):format(word)
  end
  return { name = word, address = host, user = user, port = tonumber(port) }
end

local function from_list(lists)
  local hosts = {}
  for _, list in ipairs(lists) do
    for word in list:gmatch("[^,%s]+") do
      local settings, message = ad_hoc(word)
      if not settings then
        return nil, message
      end
      hosts[#hosts + 1] = settings
    end
  end
  return hosts
end

local function from_inventory(opts, pattern)
  local sources, message = inventory.sources(opts.inventory)
  local inv, names
  if sources then
    inv, message = inventory.load(sources)
  end
  if inv then
    names, message = inv:match(opts.limit and ("%s:&%s"):format(pattern, opts.limit) or pattern)
  end
  if not names then
    return nil, message
  end
  local hosts = {}
  for i, name in ipairs(names) do
    hosts[i], message = inv:connection(name)
    if not hosts[i] then
      return nil, message
    end
    hosts[i].name = name
  end
  return hosts
end

--- The hosts that a command line means.
-- @param opts table: the values of the options
-- @param pattern string or nil: which of the inventory; nil with --host
-- @return list of settings for kb.remote, each with a name; or nil, message
function M.hosts(opts, pattern)
  local hosts, message
  if #opts.host > 0 then
    hosts, message = from_list(opts.host)
  else
    hosts, message = from_inventory(opts, pattern)
  end
  if not hosts then
    return nil, message
  elseif #hosts == 0 then
    return nil, "no host is meant"
  end
  local over
  over, message = access.settings(opts)
  if not over then
    return nil, message
  end
  for _, settings in ipairs(hosts) do
    access.apply(settings, over)
  end
  return hosts
end

local colours = { "cyan", "green", "yellow", "blue", "magenta" }

local function colour_of(name)
  local sum = 0
  for i = 1, #name do
    sum = (sum * 31 + name:byte(i)) % 65521
  end
  return colours[sum % #colours + 1]
end

--- A writer of a host's output, line by line behind its name.
-- @param name string
-- @param width integer: of the longest name
-- @return function(kind, chunk): kind "out" or "err"; without a chunk at the end
function M.writer(name, width)
  local held = { out = "", err = "" }
  local label = (" "):rep(width - #name) .. name
  local function put(kind, line)
    local file, fd = io.stdout, 1
    if kind == "err" then
      file, fd = io.stderr, 2
    end
    file:write(term.paint(colour_of(name), label .. " |", fd), line ~= "" and " " or "",
      term.clean(secret.mask(line)), "\n")
  end
  return function(kind, chunk)
    local lines
    lines, held[kind] = term.lines(held[kind] .. (chunk or ""))
    for _, line in ipairs(lines) do
      put(kind, line)
    end
    if held[kind] ~= "" and not chunk then
      put(kind, held[kind])
      held[kind] = ""
    end
    io.stdout:flush()
  end
end

--- Print one JSON object on a line.
-- @param fields table
function M.write_json(fields)
  io.write(secret.mask(json.encode(fields, { sort = true, lossy = true, compact = true })), "\n")
  io.flush()
end

--- Say what went wrong on a host.
-- @param name string
-- @param message string
function M.complain(name, message)
  message = ("%s: %s"):format(name, err.without_host(message, name))
  io.stderr:write(term.paint("red", term.clean(secret.mask(message)), 2), "\n")
end

--- Print equal texts once, headed by the hosts that gave them.
-- @param texts list of { name, text }
function M.grouped(texts)
  local groups, order = {}, {}
  for _, entry in ipairs(texts) do
    local text = term.clean(secret.mask(entry[2]))
    if not groups[text] then
      groups[text] = {}
      order[#order + 1] = text
    end
    table.insert(groups[text], entry[1])
  end
  for _, text in ipairs(order) do
    local names = groups[text]
    local head = table.concat(names, ",") .. (#names > 1 and (" (%d)"):format(#names) or "")
    io.write(term.paint("bold", head, 1), "\n", text, text:find("[^\n]$") and "\n" or "")
  end
end

-- What stays open until all is done: the first connection through each bastion, so that hosts
-- whose turn comes later find the bastion's connection and need not make another.
local Kept = {}
Kept.__index = Kept
Kept.__close = function(self)
  for _, r in pairs(self) do
    r:close()
  end
end

function Kept:take(settings, r)
  local jump = settings.jumps and settings.jumps[1]
  local key = jump and ("%s@%s:%s"):format(jump.user, jump.address, jump.port)
  if not key or rawget(self, key) then
    return false
  end
  self[key] = r
  return true
end

local function work_on(settings, kept, each, outcome)
  local r, message, code = remote.open(settings)
  if not r then
    outcome(settings.name, "unreachable", message, code)
    return
  end
  local _ <close> = not kept:take(settings, r) and r or nil
  local ok
  ok, message, code = each(r, settings)
  if ok ~= nil then
    outcome(settings.name, ok and "done" or "failed", message)
  else
    outcome(settings.name, err.of_code(code), message, code)
  end
end

-- So many workers, each taking the next host.
local function work(hosts, forks, each, outcome)
  local next_one, workers = 0, {}
  local kept <close> = setmetatable({}, Kept)
  for i = 1, math.min(forks, #hosts) do
    workers[i] = task.spawn(function()
      while next_one < #hosts do
        next_one = next_one + 1
        work_on(hosts[next_one], kept, each, outcome)
      end
    end)
  end
  for _, worker in ipairs(workers) do
    worker:join()
  end
end

-- The first Ctrl-C ends what runs on the hosts, a second one does not wait for that.
local function interruptible(fn)
  local interrupted
  local main = task.spawn(fn)
  for _, name in ipairs { "INT", "TERM", "HUP" } do
    task.background(function()
      local signal <close> = task.signal(name)
      signal:wait()
      interrupted = true
      main:cancel("interrupted")
      signal:wait()
      os.exit(common.exit.interrupted)
    end)
  end
  local ok, why = pcall(main.join, main)
  if not ok and not interrupted then
    error(why, 0)
  end
  return interrupted
end

--- Work on the hosts.
-- @param opts table: forks, json
-- @param hosts list as M.hosts gives
-- @param each function(remote, settings): true when done, false when it failed (both may be
-- followed by a message), or nil, message, code
-- @return integer: the exit status
function M.run(opts, hosts, each)
  local counts = { done = 0, failed = 0, unreachable = 0 }
  local function outcome(name, kind, message, code)
    counts[kind] = counts[kind] + 1
    if code and opts.json then
      M.write_json { host = name, error = message, code = code, kind = kind }
    elseif message and not opts.json then
      M.complain(name, message)
    end
  end
  local interrupted = interruptible(function()
    work(hosts, opts.forks, each, outcome)
  end)
  if interrupted then
    io.stderr:write(("kbrun: interrupted; %d of %d hosts were done\n"):format(counts.done, #hosts))
    return common.exit.interrupted
  end
  return counts.failed > 0 and common.exit.failed
    or counts.unreachable > 0 and common.exit.unreachable or common.exit.done
end

--- As whom to work: root where the inventory or the command line says so.
-- @param settings table
-- @return string or nil
function M.user(settings)
  return settings.become and (settings.become_user or "root") or nil
end

--- The length of the longest name.
-- @param hosts list of settings
-- @return integer
function M.width(hosts)
  local width = 0
  for _, settings in ipairs(hosts) do
    width = math.max(width, #settings.name)
  end
  return width
end

return M
