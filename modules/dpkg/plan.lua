--- The plan of packages from files.

local apt = require "modules.apt"
local kb = require "kb"
local version = require "modules.dpkg.version"

local M = {}

--- The questions of dpkg.packages.
function M.questions(args)
  local list = { { "file.packages", args.dir }, { "dpkg.architecture" } }
  for _, name in ipairs(args.packages or {}) do
    list[#list + 1] = { "dpkg.package", name }
  end
  return list
end

-- The newest archive of each package for this architecture.
local function newest(archives, architecture)
  local by_name, names = {}, {}
  for _, archive in ipairs(archives) do
    local known = by_name[archive.package]
    local fits = archive.architecture == architecture or archive.architecture == "all"
    if fits and (not known or version.compare(archive.version, known.version) > 0) then
      names[#names + 1] = not known and archive.package or nil
      by_name[archive.package] = archive
    end
  end
  table.sort(names)
  return by_name, names
end

-- The names that are asked for with the versions that the files have. What a dry run cannot know
-- yet has no version.
local function wanted(args, fact)
  local archives = kb.after(args.dir, function(dir)
    return fact("file.packages", dir)
  end)
  if kb.is_unknown(archives) then
    return args.packages or fact("file.packages", args.dir), {}
  elseif not archives then
    kb.refuse(args.dir .. " does not exist on the host", "put the packages there first")
  end
  local by_name, names = newest(archives, fact("dpkg.architecture"))
  local versions = {}
  for _, name in ipairs(args.packages or names) do
    versions[name] = by_name[name] and by_name[name].version
      or kb.refuse(("there is no package %s for %s in %s"):format(name, fact("dpkg.architecture"),
        args.dir))
  end
  return args.packages or names, versions
end

local function must_install(args, now, to)
  if not now.installed or to == nil then
    return not now.installed
  end
  local order = version.compare(to, now.version)
  return order > 0 or order < 0 and args.downgrade
end

-- An index of the directory, so that apt can choose from it as it does from a repository. The
-- transaction removes $t in the end.
local function repository(dir)
  return ([[
t=$(mktemp -d /tmp/kbrun-apt.XXXXXX) || exit
chmod 755 "$t" && mkdir -p "$t/lists/partial" && ln -s %s "$t/debs" || exit
for f in "$t"/debs/*.deb; do
  dpkg-deb -f "$f" && set -- $(sha256sum <"$f") && s=$(stat -L -c %%s "$f") || exit
  printf 'Filename: ./debs/%%s\nSize: %%s\nSHA256: %%s\n\n' "${f##*/}" "$s" "$1"
done >"$t/Packages"
echo "deb [trusted=yes] file:$t ./" >"$t/list"
only="-o Dir::Etc::SourceList=$t/list -o Dir::Etc::SourceParts=/dev/null
  -o Dir::State::Lists=$t/lists -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
  -o APT::Sandbox::User=root"
apt-get -q $only update >"$t/log" 2>&1 || { cat "$t/log" >&2; exit 1; }
]]):format(kb.quote(dir))
end

--- The plan of dpkg.packages.
-- @param args table
-- @param fact function
-- @return change, or nil and a reason
function M.install(args, fact)
  local names, versions = wanted(args, fact)
  local transaction = { held = args.held, start = args.start, units = args.units,
    downgrade = args.downgrade, prepare = repository(args.dir), options = "$only",
    install = {}, hold = {} }
  for _, name in ipairs(names) do
    local now = fact("dpkg.package", name)
    if must_install(args, now, versions[name]) then
      table.insert(transaction.install, { name = name, pin = versions[name], now = now,
        version = versions[name] or kb.unknown("known once its file is in " .. args.dir) })
    elseif args.held ~= nil and now.held ~= args.held then
      table.insert(transaction.hold, { name = name, now = now })
    end
  end
  if #transaction.install == 0 and #transaction.hold == 0 then
    return nil, ("%d packages are installed"):format(#names)
  end
  return apt.transaction(transaction)
end

return M
