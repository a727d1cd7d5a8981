--- Plans of packages and of their lists.

local kb = require "kb"
local transaction = require "modules.apt.transaction"

local M = {}

local function split(word)
  local name, version = word:match("^([^=]+)=(.+)$")
  name = name or word
  if not name:find("^[%l%d][%l%d+.-]+$") then
    kb.refuse(("%q is not the name of a package"):format(name))
  end
  return name, version
end

local function names_without_version(args)
  local names = {}
  for _, word in ipairs(args.packages) do
    local name, version = split(word)
    names[#names + 1] = not version and name or nil
  end
  return names
end

--- The questions of apt.packages.
function M.questions(args)
  local list = {}
  for i, word in ipairs(args.packages) do
    list[i] = { "dpkg.package", (split(word)) }
  end
  return list
end

-- Whether a version is what was asked for: "1.2", or "1.*" for all that begin so.
local function fits(version, wanted)
  local prefix = wanted:match("^(.*)%*$")
  if prefix then
    return version:sub(1, #prefix) == prefix
  end
  return version == wanted
end

-- What apt would install for the names, or an unknown before the lists are there.
local function candidates_of(names, fact)
  return kb.after(table.concat(names, " "), function(text)
    return text == "" and {} or fact("apt.candidates", text)
  end)
end

local function missing(name)
  kb.refuse(("apt knows no package %s that it could install"):format(name),
    "apt.updated fetches the lists, apt.repository adds a source; a package that only others "
    .. "provide has another name")
end

-- The version to install; nil when there is nothing to install.
local function upgrade(args, name, version, now, candidates)
  if version then
    return not (now.installed and fits(now.version, version)) and version or nil
  elseif now.installed and args.state ~= "latest" then
    return nil
  elseif kb.is_unknown(candidates) and not now.installed then
    return candidates
  end
  local candidate = candidates[name] or missing(name)
  return candidate ~= (now.installed and now.version) and candidate or nil
end

local function item_of(name, version, now)
  local open = type(version) == "string" and version:find("*", 1, true)
  return { name = name, pin = not kb.is_unknown(version) and version or nil,
    version = open and kb.unknown "known once it is installed" or version, now = now }
end

local function present(args, fact, t)
  local asked, now = {}, {}
  for _, name in ipairs(names_without_version(args)) do
    now[name] = fact("dpkg.package", name)
    if args.state == "latest" or not now[name].installed then
      asked[#asked + 1] = name
    end
  end
  local candidates = candidates_of(asked, fact)
  for _, word in ipairs(args.packages) do
    local name, version = split(word)
    local is = fact("dpkg.package", name)
    local to = upgrade(args, name, version, is, candidates)
    if to then
      t.downgrade = t.downgrade or version ~= nil
      table.insert(t.install, item_of(name, to, is))
    elseif args.held ~= nil and is.held ~= args.held then
      table.insert(t.hold, { name = name, now = is })
    end
  end
end

local function absent(args, fact, t)
  for _, word in ipairs(args.packages) do
    local name = split(word)
    local is = fact("dpkg.package", name)
    if is.installed or args.purge and is.status ~= "un" then
      table.insert(t.remove, { name = name, now = is })
    end
  end
end

--- The plan of apt.packages.
-- @param args table
-- @param fact function
-- @return change, or nil and a reason
function M.packages(args, fact)
  local t = { install = {}, remove = {}, hold = {}, held = args.held, start = args.start,
    units = args.units, recommends = args.recommends, purge = args.purge }
  if args.state == "absent" then
    absent(args, fact, t)
  else
    present(args, fact, t)
  end
  if #t.install + #t.remove + #t.hold == 0 then
    return nil, args.state == "absent" and "not installed" or args.state == "latest"
      and "the newest that there is" or "installed"
  end
  local change = transaction.change(t)
  table.move(args.effect or {}, 1, #(args.effect or {}), #change.effect + 1, change.effect)
  return change
end

-- apt does not wait for the lock on the lists by itself. Sources that cannot be reached are an
-- error, which they are not for apt unless it is told.
local UPDATE = [[
n=0
until out=$(apt-get -q -o APT::Update::Error-Mode=any update 2>&1); do
  n=$((n + 1))
  case $out in
  *"Could not get lock"* | *"Unable to lock"*) [ $n -lt 150 ] && sleep 2 && continue ;;
  esac
  printf '%s\n' "$out" >&2
  exit 100
done
mkdir -p /var/lib/apt/periodic && touch /var/lib/apt/periodic/update-success-stamp]]

--- The plan of apt.updated.
-- @param args table
-- @param fact function
-- @return change, or nil and a reason
function M.updated(args, fact)
  local index = fact "apt.index"
  if not index.outdated and index.age <= args.max_age then
    return nil, ("fetched %d minutes ago"):format(index.age // 60)
  end
  return { title = "fetch apt's package lists",
    actions = { { run = UPDATE, fails = "apt's package lists could not be fetched" } },
    effect = { function(name)
      if name == "apt.index" then
        return true, { age = 0, outdated = false }
      elseif name == "apt.candidates" then
        return true, kb.unknown "known once apt's package lists are fetched"
      end
    end } }
end

return M
