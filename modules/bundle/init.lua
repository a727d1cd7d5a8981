--- The offline bundle: what it holds, and its packages on a host.

local kb = require "kb"
local yaml = require "kb.yaml"

local M = {}

local manifests = {} -- path -> list of items

--- The items of a bundle.
-- @param dir string: the bundle on the operator's machine
-- @return list of { kind, name, version, arch, path, size, sha256, id }
-- @raise kb.err of kind usage when it is no bundle
function M.items(dir)
  if not manifests[dir] then
    local manifest, message = yaml.load_file(dir .. "/bundle.yaml")
    if not manifest then
      kb.refuse(message, "tests/lab/bundle makes one for the lab")
    end
    manifests[dir] = manifest.items
  end
  return manifests[dir]
end

--- The images of a bundle.
-- @param dir string: the bundle
-- @return list of { name, id, archive }
function M.images(dir)
  local list = {}
  for _, item in ipairs(M.items(dir)) do
    if item.kind == "image" then
      list[#list + 1] = { name = item.name, id = item.id, archive = dir .. "/" .. item.path }
    end
  end
  return list
end

local function debs_of(dir)
  local list, sums = {}, {}
  for _, item in ipairs(M.items(dir)) do
    local name = item.path:match("^debs/(.*)$")
    if name then
      list[#list + 1] = { name = name, size = math.tointeger(item.size) }
      sums[#sums + 1] = item.sha256 .. "  " .. name
    end
  end
  table.sort(sums)
  return list, table.concat(sums, "\n") .. "\n"
end

-- The packages that are not there, or not whole; all of them when the list of hashes is another.
local function missing(debs, listing, same_sums)
  local list, bytes = {}, 0
  for _, deb in ipairs(debs) do
    if not same_sums or listing[deb.name] ~= deb.size then
      list[#list + 1] = deb
      bytes = bytes + deb.size
    end
  end
  return list, bytes
end

local function put(args, name)
  return { put = { path = args.path .. "/" .. name, file = args.bundle .. "/debs/" .. name,
    mode = tonumber("644", 8) } }
end

-- The list of hashes comes last: while it is not there, what was sent counts as not sent. What is
-- there with the right hash is not sent again all the same.
local function send(args, list, sums)
  local actions = { "mkdir -p -- " .. kb.quote(args.path) }
  for i, deb in ipairs(list) do
    actions[i + 1] = put(args, deb.name)
  end
  actions[#actions + 1] = put(args, "Packages")
  actions[#actions + 1] = { put = { path = args.path .. "/.sums", content = sums,
    mode = tonumber("644", 8) } }
  return actions
end

--- The packages of a bundle in a directory of the host: a local repository for apt.
-- @param path path: the directory on the host
-- @param bundle path: the bundle on the operator's machine
M.packages = kb.op {
  name = "bundle.packages",
  args = { { "path", "path", "the directory on the host", at = 1, required = true },
    { "bundle", "path", "the bundle on the operator's machine", required = true } },
  facts = function(args)
    return { { "bundle.listing", args.path }, { "bundle.sums", args.path } }
  end,
  plan = function(args, fact)
    local debs, sums = debs_of(args.bundle)
    if #debs == 0 then
      kb.refuse("the bundle " .. args.bundle .. " has no packages")
    end
    local listing = fact("bundle.listing", args.path)
    local list, bytes = missing(debs, listing,
      fact("bundle.sums", args.path) == kb.digest(sums))
    if #list == 0 then
      return nil, ("all %d packages are there"):format(#debs)
    end
    local after = {}
    for _, deb in ipairs(debs) do
      after[deb.name] = deb.size
    end
    return { title = ("send %d packages, %d MB"):format(#list, bytes // 1000000),
      actions = send(args, list, sums),
      effect = { { "bundle.listing", args.path, after },
        { "bundle.sums", args.path, kb.digest(sums) } } }
  end,
}

-- The version of each package that the bundle has.
local function versions(dir)
  local list = {}
  for _, item in ipairs(M.items(dir)) do
    if item.path:find("^debs/") then
      list[item.name] = item.version
    end
  end
  return list
end

-- What is known of a unit and of a directory that a package brings. What is left unknown in each
-- makes a run ask the host itself.
local function brought(args, effect)
  local asked = kb.unknown("known after the packages are installed")
  for _, unit in ipairs(args.units) do
    local moment = kb.later()
    effect[#effect + 1] = { "unit.state", unit, { load = "loaded", active = "active",
      enabled = "enabled", needs_reload = false, drop_ins = {}, sub = asked, pid = asked,
      path = "/lib/systemd/system/" .. unit } }
    effect[#effect + 1] = { "unit.moments", unit, { started = moment, reloaded = moment,
      exact = asked } }
  end
  for _, dir in ipairs(args.directories) do
    effect[#effect + 1] = { "file.stat", dir, { kind = "directory", mode = tonumber("755", 8),
      owner = "root", group = "root", size = asked } }
  end
  return effect
end

-- apt with the bundle as its only source, beside the host's own configuration and lists. Two plays
-- may come to a host at once, and apt does not wait for the lock of its lists; what a package
-- starts must not hold ours. What an installation that was killed left half done is finished first.
local INSTALL = [[
set -e; cd %s; exec 9>.lock; flock -w 600 9; mkdir -p .lists/partial
echo "deb [trusted=yes] file:$PWD ./" >sources.list
set -- -q -o Dir::Etc::SourceList="$PWD/sources.list" -o Dir::Etc::SourceParts=- \
  -o Dir::State::Lists="$PWD/.lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
  -o DPkg::Lock::Timeout=300
export DEBIAN_FRONTEND=noninteractive
dpkg --force-confdef --force-confold --configure -a 9>&- || true
apt-get "$@" update 9>&-
apt-get "$@" install 9>&- -y --fix-broken --no-install-recommends --allow-change-held-packages]]

--- Packages of the bundle, installed by apt from the directory that `bundle.packages` has filled.
-- @param packages list: their names; what they depend on comes with them
-- @param path path: the directory on the host
-- @param bundle path: the bundle on the operator's machine
-- @param units list: services that they bring and start, for a dry run to know: "etcd.service"
-- @param directories list: directories that they make, for a dry run to know
M.installed = kb.op {
  name = "bundle.installed",
  args = { { "packages", "list", "their names", at = 1, required = true },
    { "path", "path", "the directory on the host", required = true },
    { "bundle", "path", "the bundle on the operator's machine", required = true },
    { "units", "list", "units that they bring and start", default = {} },
    { "directories", "list", "directories that they make", default = {} } },
  facts = function(args)
    local questions = {}
    for i, name in ipairs(args.packages) do
      questions[i] = { "bundle.package", name }
    end
    return questions
  end,
  plan = function(args, fact)
    local has, words, titles, effect = versions(args.bundle), {}, {}, {}
    for _, name in ipairs(args.packages) do
      local version = has[name] or kb.refuse(("the bundle %s has no package %s"):format(
        args.bundle, name))
      if fact("bundle.package", name) ~= version then
        words[#words + 1] = kb.quote(name .. "=" .. version)
        titles[#titles + 1] = name .. " " .. version
        effect[#effect + 1] = { "bundle.package", name, version }
      end
    end
    if #words == 0 then
      return nil, ("all %d packages are installed"):format(#args.packages)
    end
    return { title = "install " .. table.concat(titles, ", "), effect = brought(args, effect),
      actions = { INSTALL:format(kb.quote(args.path)) .. " " .. table.concat(words, " ") } }
  end,
}

return M
