--- Plays and playbooks: what a playbook file declares, before anything runs.

local args = require "kb.args"
local current = require "kb.current"
local err = require "kb.err"
local needs = require "kb.needs"
local suggest = require "kb.suggest"
local sys = require "kb.core.sys"

local M = {}

local declared = {
  { "name", "string", "what the play achieves, in few words", at = 1, required = true },
  { "body", "function", "what is done on each host: function(host)", at = 2, required = true },
  { "hosts", "string", "a pattern of hosts and groups", required = true },
  { "needs", "list", "the plays that must be done first; absent: all before it, {}: none" },
  { "serial", "any", "how many hosts at a time: a number, a percentage or a list of them" },
  { "max_fail", "any", 'how many hosts may fail ("20%") before the play stops; absent: all' },
  { "complete", "boolean", "all its hosts finish before it stops for max_fail, and may be asked "
    .. "by others after they failed", default = false },
  { "asks", "boolean", "it asks before it acts (kb.confirm): a terminal or --yes is needed",
    default = false },
  { "forks", "integer", "how many hosts at most are worked on at once", default = 500 },
  { "tags", "list", "words that --tags and --skip-tags choose by", default = {} },
  { "become", "any", "true: as root; a string: as that user" },
  { "vars", "map", "variables, over those of the inventory", default = {} },
}

local loading = {} -- the playbooks being loaded, the innermost last

local Playbook = { __name = "kb.playbook" }
Playbook.__index = Playbook

local function innermost(what)
  return loading[#loading]
    or err.raise("usage", what .. " is for the top level of a playbook, not for within a play")
end

local function user_of(become)
  if become == true then
    return "root"
  end
  return become or nil
end

--- Declare a play.
-- @param given table: see `declared`; the name first, the function last
-- @return play
function M.play(given)
  local playbook = innermost("kb.play")
  local file, line = err.position()
  local subject = ("%s:%s: play %q"):format(file or "?", line or "?", tostring(given[1]))
  local play = args.check(declared, given, subject)
  if playbook.by_name[play.name] then
    err.raise("usage", subject .. ": there is a play of that name already")
  end
  play.user = user_of(play.become)
  play.file, play.line, play.dir = file, line, loading[#loading].dir
  playbook.by_name[play.name] = play
  playbook.plays[#playbook.plays + 1] = play
  return play
end

--- A play that is in no playbook: for commands of kbrun itself that ask hosts.
-- @param given table: as for `play`
-- @return play
function M.alone(given)
  local play = args.check(declared, given, ("play %q"):format(tostring(given[1])))
  play.needs, play.user, play.dir = {}, user_of(play.become), "."
  return play
end

-- Errors that no playbook can mend: they end the preview or the work on a host.
local passing = { unknown = true, cancelled = true }

local function unless_passing(ok, ...)
  if not ok and passing[err.kind((...))] then
    error((...), 0)
  end
  return ok, ...
end

local function joined(...)
  local texts = table.pack(...)
  for i = 1, texts.n do
    texts[i] = tostring(texts[i])
  end
  return table.concat(texts, "\t")
end

-- What a playbook prints is an event like others: masked, and no stranger among JSON or the lines
-- of a terminal. Before there is a run it is for people alone.
local function tell(...)
  local run = current.run
  if not run then
    io.stderr:write(joined(...), "\n")
    return
  end
  local machine = run.at_work[coroutine.running()]
  run.report:emit { event = "print", host = machine and machine.name, text = joined(...) }
end

-- Lua's own, but what a dry run cannot know cannot be caught: the playbook would go on as if it had
-- failed in the run.
local guarded = {
  print = tell,
  pcall = function(...)
    return unless_passing(pcall(...))
  end,
  xpcall = function(fn, handler, ...)
    return unless_passing(xpcall(fn, function(e)
      return passing[err.kind(e)] and e or handler(e)
    end, ...))
  end,
}

-- What a playbook may use as globals: Lua's own, and nothing is made.
local function environment()
  return setmetatable({}, {
    __index = function(_, name)
      local value = guarded[name] or _G[name]
      if value == nil then
        local file, line = err.position()
        err.raise("usage", ("'%s' is not defined"):format(tostring(name)),
          { file = file, line = line })
      end
      return value
    end,
    __newindex = function(_, name)
      local file, line = err.position()
      err.raise("usage", ("'%s' would be a global variable: write local before it")
        :format(tostring(name)), { file = file, line = line })
    end })
end

-- place: where it is included, or nil
local function load_into(playbook, path, place)
  local real = sys.realpath(path)
  if not real then
    err.raise("usage", ("there is no playbook %s"):format(path), place)
  end
  for _, outer in ipairs(loading) do
    if outer.path == real then
      err.raise("usage", ("%s includes itself"):format(path), place)
    end
  end
  local chunk, message = loadfile(path, "t", environment())
  if not chunk then
    err.raise("usage", message)
  end
  local frame = setmetatable({ path = real, dir = real:match("^(.*)/") }, { __index = playbook })
  loading[#loading + 1] = frame
  playbook.files[#playbook.files + 1] = path
  local ok, e = xpcall(chunk, err.keep_traceback)
  loading[#loading] = nil
  if not ok then
    error(e, 0)
  end
end

--- Declare the plays of another playbook here.
-- @param path string: relative to the playbook that includes it
function M.include(path)
  local outer = innermost("kb.include")
  local file, line = err.position()
  load_into(getmetatable(outer).__index, path:find("^/") and path or outer.dir .. "/" .. path,
    { file = file, line = line })
end

-- The names of the plays that a file declares; none when it is no playbook.
local function names_in(path)
  local playbook = setmetatable({ plays = {}, by_name = {}, files = {} }, Playbook)
  local outer = loading
  loading = {}
  local ok = pcall(load_into, playbook, path)
  loading = outer
  return ok and playbook.by_name or {}
end

--- Load playbooks; nothing is connected or changed.
-- @param paths list of strings
-- @return playbook: plays (list, in order), by_name, files
-- @raise kb.err of kind usage
function M.load(paths)
  local playbook = setmetatable({ plays = {}, by_name = {}, files = {} }, Playbook)
  for _, path in ipairs(paths) do
    load_into(playbook, path)
  end
  if #playbook.plays == 0 then
    err.raise("usage", ("%s declares no play"):format(table.concat(paths, ", ")))
  end
  needs.check(playbook, names_in)
  return playbook
end

local function overlaps(list, set)
  for _, item in ipairs(list) do
    if set[item] then
      return true
    end
  end
  return false
end

local function set_of(list)
  local set = {}
  for _, item in ipairs(list or {}) do
    set[item] = true
  end
  return set
end

--- The plays that --tags and --skip-tags leave.
-- @param tags list of strings or nil: keep only the plays with one of them
-- @param skip list of strings or nil: leave out the plays with one of them
-- @return list of plays
-- @raise kb.err of kind usage when a tag is in no play
function Playbook:tagged(tags, skip)
  local all = {}
  for _, play in ipairs(self.plays) do
    for _, tag in ipairs(play.tags) do
      all[#all + 1] = tag
    end
  end
  local known = set_of(all)
  for _, list in ipairs { tags or {}, skip or {} } do
    for _, tag in ipairs(list) do
      if not known[tag] then
        err.raise("usage", ("no play has the tag '%s'%s"):format(tag, suggest.hint(tag, all)))
      end
    end
  end
  local kept, wanted, unwanted = {}, set_of(tags), set_of(skip)
  for _, play in ipairs(self.plays) do
    if (not tags or #tags == 0 or overlaps(play.tags, wanted))
      and not overlaps(play.tags, unwanted) then
      kept[#kept + 1] = play
    end
  end
  needs.bridge(self.by_name, kept)
  return kept
end

--- The modules a playbook names: `local files, apt = kb.use("files", "apt")`. A `modules/`
-- directory beside the playbook comes before ours.
-- @param ... strings: names of modules
-- @return a table of operations for each
-- @raise kb.err of kind usage when there is none of that name
function M.use(...)
  local found = {}
  for i, name in ipairs { ... } do
    found[i] = M.module(name, loading[#loading] and loading[#loading].dir)
  end
  return table.unpack(found)
end

local own = {} -- modules of users, by path

local function strict(name, module)
  return setmetatable({}, { __index = function(_, key)
    if module[key] ~= nil then
      return module[key]
    end
    local names = {}
    for k in pairs(module) do
      names[#names + 1] = k
    end
    local file, line = err.position()
    err.raise("usage", ("module '%s' has no operation '%s'%s"):format(name, tostring(key),
      suggest.choice(tostring(key), names, "it has")), { file = file, line = line })
  end, __pairs = function()
    return pairs(module)
  end })
end

local function load_own(name, dir)
  for _, tail in ipairs { ".lua", "/init.lua" } do
    local path = ("%s/modules/%s%s"):format(dir, name, tail)
    if own[path] then
      return own[path]
    end
    if sys.stat(path) then
      local chunk, message = loadfile(path, "t", environment())
      own[path] = chunk and chunk(name, path) or err.raise("usage", message)
      return own[path]
    end
  end
end

--- One module by name.
-- @param name string
-- @param dir string or nil: the directory of the playbook
-- @return table of operations
function M.module(name, dir)
  local module = dir and load_own(name, dir)
  if not module then
    local ok, loaded = pcall(require, "modules." .. name)
    if not ok then
      if not tostring(loaded):find("no module 'modules." .. name .. "'", 1, true) then
        error(loaded, 0)
      end
      local file, line = err.position()
      err.raise("usage", ("there is no module '%s'%s"):format(name,
        suggest.hint(name, M.module_names())), { file = file, line = line })
    end
    module = loaded
  end
  return strict(name, module)
end

--- The names of the modules that are part of kbrun.
-- @return list of strings
function M.module_names()
  local names = {}
  for _, name in ipairs(require("kb.core.embedded").names()) do
    local area = name:match("^modules%.([%w_]+)$")
    if area then
      names[#names + 1] = area
    end
  end
  return names
end

return M
