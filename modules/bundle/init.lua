--- The offline bundle: what it holds, and its packages on a host.

local apt = require "modules.apt"
local bundle = require "kb.bundle"
local declarations = require "kb.bundle.declaration"
local facts = require "modules.bundle.facts"
local kb = require "kb"
local make = require "kb.bundle.make"
local push = require "modules.bundle.push"

local M = {}

local manifests = {} -- directory -> what bundle.yaml says

--- The items of a bundle.
-- @param dir string: the bundle on the operator's machine
-- @param kind string or nil: only those of this kind: "deb", "image" or "file"
-- @return list of { kind, name, version, arch, source, size, sha256 }; files and packages have
-- `file`, images `id` and `blobs`
-- @raise kb.err of kind failed when it is no bundle
function M.items(dir, kind)
  if not manifests[dir] then
    local manifest, message = bundle.load(dir)
    if not manifest then
      kb.refuse(message, "playbooks/bundle.lua makes a bundle; tests/lab/bundle one for the lab")
    end
    manifests[dir] = manifest
  end
  local list = {}
  for _, item in ipairs(manifests[dir].items) do
    list[#list + 1] = (kind == nil or item.kind == kind) and item or nil
  end
  return list
end

--- The blobs of a bundle, each once.
-- @param dir string: the bundle
-- @param select function(item) -> boolean, or nil: which items; absent: all
-- @return list of { sha256, size, file }: `file` is where it is on the operator's machine
-- @raise kb.err of kind failed when it is no bundle
function M.blobs(dir, select)
  local chosen = {}
  for _, item in ipairs(M.items(dir)) do
    chosen[#chosen + 1] = (not select or select(item)) and item or nil
  end
  return bundle.blobs(dir, chosen)
end

--- Where a blob lies on hosts.
-- @param sha256 string
-- @return string: the path
function M.place(sha256)
  return facts.BLOBS .. "/" .. sha256
end

--- The images of a bundle.
-- @param dir string: the bundle
-- @return list of { name, id }
function M.images(dir)
  local list = {}
  for i, item in ipairs(M.items(dir, "image")) do
    list[i] = { name = item.name, id = item.id }
  end
  return list
end

-- Why an item will not do; nil when it will.
local function unfit(dir, item, version, arch)
  if version and tostring(item.version):match("^[%d.]+") ~= version then
    return ("%s %s, and %s is needed"):format(item.name, item.version, version)
  elseif arch and item.arch and item.arch ~= arch and item.arch ~= "all" then
    return ("%s for %s, and %s is needed"):format(item.name, item.arch, arch)
  elseif not bundle.has(dir, item) then
    return ("%s, but not all of its contents: kbrun bundle verify tells more"):format(item.name)
  end
end

--- What a bundle lacks of what is needed of it: items that it does not have, that are of another
-- version or architecture, or whose contents are not there.
-- @param dir string: the bundle
-- @param needs table: images and packages (lists of names), versions (package -> version as
-- upstream writes it: "1.20.2"), arch ("amd64"; absent: any)
-- @return list of texts: "no image k8s.gcr.io/pause:3.2", "kubelet 1.19.0-00, and 1.20.2 is needed"
-- @raise kb.err of kind failed when it is no bundle
function M.missing(dir, needs)
  local found, has = {}, { image = {}, deb = {} }
  for _, item in ipairs(M.items(dir)) do
    local of_kind = has[item.kind]
    if of_kind and not (of_kind[item.name] and item.arch ~= needs.arch) then
      of_kind[item.name] = item
    end
  end
  for _, name in ipairs(needs.images or {}) do
    local item = has.image[name]
    found[#found + 1] = not item and "no image " .. name
      or item and unfit(dir, item, nil, needs.arch)
  end
  for _, name in ipairs(needs.packages or {}) do
    local item, version = has.deb[name], (needs.versions or {})[name]
    found[#found + 1] = not item and "no package " .. name
      or item and unfit(dir, item, version, needs.arch)
  end
  return found
end

--- Whether an item belongs into a directory of packages: a package, or apt's index of them.
-- @param item table: an item of the bundle
-- @return boolean
function M.is_package(item)
  return item.kind == "deb" or item.kind == "file" and item.name == "Packages"
end

-- The links that the directory is to have: name -> sha256.
local function links_of(dir)
  local links, count = {}, 0
  for _, item in ipairs(M.items(dir)) do
    if M.is_package(item) then
      links[item.file] = item.sha256
      count = count + (item.kind == "deb" and 1 or 0)
    end
  end
  if count == 0 then
    kb.refuse("the bundle " .. dir .. " has no packages")
  elseif not links.Packages then
    kb.refuse("the bundle " .. dir .. " has packages but no index of them, named Packages")
  end
  return links, count
end

-- The lines by which LINK changes the links: those that are wrong or missing, then those that the
-- bundle does not have ("-").
local function link_lines(wanted, there)
  local lines = {}
  for name, sha256 in pairs(wanted) do
    lines[#lines + 1] = there[name] ~= sha256 and ("%s %s\n"):format(sha256, name) or nil
  end
  for name in pairs(there) do
    lines[#lines + 1] = not wanted[name] and ("- %s\n"):format(name) or nil
  end
  table.sort(lines)
  return lines
end

local LINK = [[
mkdir -p -- %s && cd -- %s || exit
while read -r blob name; do
  case $blob in
  -) rm -f -- "$name" ;;
  *) ln -sfn -- %s/"$blob" "$name" ;;
  esac || exit
done]]

local function actions(args, blobs, lines)
  local list = { "mkdir -p -- " .. kb.quote(facts.BLOBS) }
  for _, blob in ipairs(blobs) do
    list[#list + 1] = { put = { path = facts.BLOBS .. "/" .. blob.sha256, file = blob.file,
      mode = tonumber("644", 8) } }
  end
  local path = kb.quote(args.path)
  list[#list + 1] = { run = LINK:format(path, path, facts.BLOBS), stdin = table.concat(lines) }
  return list
end

--- The packages of a bundle in a directory of the host, with their index: a local repository for
-- apt, made of links to blobs. Blobs that the host does not have yet are sent.
-- @param path path: the directory on the host
-- @param bundle path: the bundle on the operator's machine
M.packages = kb.op {
  name = "bundle.packages",
  args = { { "path", "path", "the directory on the host", at = 1, required = true },
    { "bundle", "path", "the bundle on the operator's machine", required = true } },
  facts = function(args)
    return { { "bundle.blobs" }, { "bundle.links", args.path } }
  end,
  plan = function(args, fact)
    local links, count = links_of(args.bundle)
    local blobs, bytes, after = push.missing(M.blobs(args.bundle, M.is_package),
      fact("bundle.blobs"))
    local lines = link_lines(links, fact("bundle.links", args.path))
    if #blobs == 0 and #lines == 0 then
      return nil, ("all %d packages are there"):format(count)
    end
    local title = ("link %d packages"):format(count)
    if #blobs > 0 then
      title = ("send %d packages, %d MB"):format(#blobs, bytes // 1000000)
    end
    return { title = title, actions = actions(args, blobs, lines),
      effect = { { "bundle.blobs", after }, { "bundle.links", args.path, links } } }
  end,
}

--- What a host is to have of a bundle, sent over the operator's line once for all hosts.
-- The bastion, or the host that `relay` names, is sent each blob once and hands it on to the hosts
-- of the play over their own network, while it is still arriving. What a host has is not sent, nor
-- the part that came before a transfer broke off. The relay gets no lasting right on the hosts: a
-- key for this transfer, good for one command and from its address alone, goes at the end, and what
-- a transfer that died has left is removed. Where that cannot be, the host is sent its blobs
-- directly, and a warning says why. Put the relay into the play, too, with nothing to have if it
-- needs nothing: then what died there is removed even when no host lacks anything.
-- @param bundle path: the bundle on the operator's machine
-- @param select function: (item) -> boolean: which items of the bundle; absent: all
-- @param relay any: the name of the host that hands on; false: each host directly; absent: the
-- bastion that the host is behind
M.pushed = kb.op {
  name = "bundle.pushed",
  args = { { "bundle", "path", "the bundle on the operator's machine", at = 1, required = true },
    { "select", "function", "(item) -> boolean: which items" },
    { "relay", "any", "the name of a host that hands on, or false" } },
  prepare = push.prepare,
  facts = push.facts,
  plan = function(args, fact)
    return push.plan(args, fact, M.blobs(args.bundle, args.select))
  end,
}

-- The version of each package that the bundle has.
local function versions(dir)
  local list = {}
  for _, item in ipairs(M.items(dir, "deb")) do
    list[item.name] = item.version
  end
  return list
end

--- The version of a package of a bundle.
-- @param dir string: the bundle
-- @param name string: the package
-- @return string
-- @raise kb.err when the bundle does not have it
function M.version(dir, name)
  return versions(dir)[name] or kb.refuse(("the bundle %s has no package %s"):format(dir, name))
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
    effect[#effect + 1] = function(name, of)
      if name == "unit.moments" and of == unit then
        return true, { started = moment, reloaded = moment }
      end
    end
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
-- Configuration that a playbook has written stays.
local INSTALL = [[
set -e; cd %s; exec 9>.lock; flock -w 600 9; mkdir -p .lists/partial
echo "deb [trusted=yes] file:$PWD ./" >sources.list
set -- -q -o Dir::Etc::SourceList="$PWD/sources.list" -o Dir::Etc::SourceParts=- \
  -o Dir::State::Lists="$PWD/.lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
  -o DPkg::Lock::Timeout=300 \
  -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold
export DEBIAN_FRONTEND=noninteractive
finish_dpkg 9>&- || :
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
    return { title = "install " .. table.concat(titles, ", "), more = true,
      effect = brought(args, effect),
      actions = { ("%s%s %s"):format(apt.FINISH, INSTALL:format(kb.quote(args.path)),
        table.concat(words, " ")) } }
  end,
}

local function declared(declaration)
  local wanted, message
  if type(declaration) == "table" then
    wanted, message = declarations.check(declaration, "the declaration", ".")
  else
    wanted, message = declarations.load(declaration)
  end
  return wanted or kb.refuse(message, "kbrun doc kb.bundle.declaration tells what it may say")
end

local function count(n)
  return n == 1 and "1 item" or n .. " items"
end

local function summary(plan)
  local lines, bytes = {}, 0
  for _, todo in ipairs(plan.todo) do
    lines[#lines + 1] = "+" .. todo.text
    bytes = bytes + (todo.bytes or 0)
  end
  for _, text in ipairs(plan.dropped) do
    lines[#lines + 1] = "-" .. text
  end
  local title = #plan.todo > 0 and ("fetch %s%s"):format(count(#plan.todo),
    bytes >= 1000000 and (", %d MB and more"):format(bytes // 1000000) or "") or nil
  if #plan.dropped > 0 then
    title = (title and title .. "; " or "") .. "drop " .. count(#plan.dropped)
  end
  return title, table.concat(lines, "\n")
end

--- A bundle on the operator's machine that holds what a declaration names, and nothing else.
-- What is there is not fetched again. What is fetched for the first time is pinned by its digest in
-- bundle.yaml: when it is another one later, that is an error. A run that was stopped is gone on
-- with by the next one; until it is done, bundle.yaml keeps what it had.
-- @param path string: the bundle's directory
-- @param declaration string or table: the file (YAML, or Lua that returns a table), or what would
-- be in it; `kbrun doc kb.bundle.declaration` tells what it may say
-- @param repin list: names of items whose pins are given up; "packages" looks for newer packages
-- @param parallel integer: how many items are fetched at a time
M.made = kb.op {
  name = "bundle.made",
  args = { { "path", "string", "the bundle's directory on this machine", at = 1, required = true },
    { "declaration", "any", "what it is to hold: a file, or a table", required = true },
    { "repin", "list", "names of items whose pins are given up", default = {} },
    { "parallel", "integer", "how many items are fetched at a time", default = 4 } },
  plan = function(args)
    local plan, message = make.plan(args.path, declared(args.declaration), { repin = args.repin })
    if not plan then
      kb.refuse(message)
    end
    local title, diff = summary(plan)
    if not title then
      return nil, "all items are there"
    end
    return { title = title, diff = diff, effect = {}, actions = { { call = function(on_output)
      manifests[args.path] = nil
      return make.apply(plan, { parallel = args.parallel, say = function(text)
        on_output("out", text .. "\n")
      end })
    end } } }
  end,
}

return M
