--- What a declaration wants of each kind, compared with what a bundle has.
local apt = require "kb.bundle.apt"
local bundle = require "kb.bundle"
local data = require "kb.data"
local deb = require "kb.bundle.deb"
local download = require "kb.bundle.download"
local image_of = require "kb.bundle.image"
local images = require "kb.images"
local localfile = require "kb.localfile"
local plans = require "kb.bundle.plan"
local reference = require "kb.images.reference"
local registry = require "kb.bundle.registry"
local store = require "kb.bundle.store"
local sys = require "kb.core.sys"

local M = {}

local function must(value, message)
  return value or plans.fail("%s", message)
end

-- What a kept item gets from a declaration that has changed in words only.
local function like(pinned, item)
  local copy = {}
  for field, value in pairs(pinned) do
    copy[field] = value
  end
  copy.file, copy.arch = item.file, item.arch
  return copy
end

local function item_of(wanted, blob, source)
  return { kind = "file", name = wanted.name, version = wanted.version, arch = wanted.arch,
    file = wanted.file, source = source, sha256 = blob.sha256, size = blob.size }
end

local function base_name(path)
  return path:match("([^/]+)$")
end

local function plan_local_file(plan, wanted)
  local digest, size = localfile.digest(wanted.path)
  local item = item_of(wanted, { sha256 = digest, size = size }, base_name(wanted.path))
  if wanted.sha256 and wanted.sha256 ~= digest then
    plans.fail("%s has the SHA-256 %s, but the declaration says %s", wanted.path, digest,
      wanted.sha256)
  end
  plan:enforce(item)
  if bundle.has(plan.dir, item) then
    return plan:keep(item)
  end
  plan:want(("%s from %s"):format(plans.show(item), wanted.path), size, function()
    local blob, message, code = store.add_file(plan.dir, wanted.path)
    return blob and { item_of(wanted, blob, item.source) }, message, code
  end)
end

local function plan_remote_file(plan, wanted)
  local pinned = plan:pinned(wanted)
  if pinned and wanted.sha256 and pinned.sha256 ~= wanted.sha256 then
    plans.fail("%s is pinned with sha256 %s, but the declaration says %s: give it another version "
      .. "there, or accept it with --extra repin=%s", plans.show(wanted), pinned.sha256,
      wanted.sha256, wanted.name)
  elseif pinned and bundle.has(plan.dir, pinned) then
    return plan:keep(like(pinned, wanted))
  end
  local all = plan.wanted
  local spec = { urls = wanted.urls, sha256 = pinned and pinned.sha256 or wanted.sha256,
    ca = all.ca, protocols = all.protocols, redirect_protocols = all.redirect_protocols,
    progress = function(bytes)
      plan.progress(bytes)
    end }
  local text = ("%s from %s"):format(plans.show(wanted), wanted.urls[1])
  plan:want(text, pinned and pinned.size, function()
    local blob, message, code = download.fetch(plan.session, plan.dir, spec)
    return blob and { item_of(wanted, blob, blob.source) }, message, code
  end)
end

local function right_arch(plan, path, arch)
  if arch ~= plan.wanted.arch and arch ~= "all" then
    plans.fail("%s is for %s, and the declaration says arch: %s", path, arch, plan.wanted.arch)
  end
end

local function plan_archive(plan, path)
  local archive = must(images.read(path, { platform = "linux/" .. plan.wanted.arch }))
  local missing, names = false, {}
  for _, image in ipairs(archive.images) do
    right_arch(plan, path, image.architecture)
    if #image.tags == 0 then
      plans.fail("%s: the image %s has no name: docker tag gives it one, then docker save it again",
        path, image.id)
    end
    for _, tag in ipairs(image.tags) do
      local item = { kind = "image", name = reference.short(tag), id = image.id }
      plan:claim(item, image.id, path)
      local pinned = plan:enforce(item)
      names[#names + 1] = item.name
      if pinned and bundle.has(plan.dir, pinned) then
        plan:keep(pinned)
      else
        missing = true
      end
    end
  end
  if missing then
    plan:want(("image %s from %s"):format(table.concat(names, ", "), path), archive.size, function()
      local items, message, code = image_of.split(plan.dir, archive)
      for _, item in ipairs(items or {}) do
        item.source = base_name(path)
      end
      return items, message, code
    end)
  end
end

local function plan_image(plan, wanted)
  local item = { kind = "image", name = reference.short(wanted.name) }
  plan:claim(item, nil, wanted.from[1])
  local pinned = plan:pinned(item)
  if pinned and bundle.has(plan.dir, pinned) then
    return plan:keep(pinned)
  end
  plan:want(("%s from %s"):format(plans.show(item), wanted.from[1]), nil, function()
    local made, message, code = registry.fetch(plan.dir, wanted, { arch = plan.wanted.arch,
      ca = plan.wanted.ca, id = pinned and pinned.id })
    return made and { made }, message, code
  end)
end

-- A package of one's own; what tells it from others.
local function plan_deb(plan, path)
  local fields = must(deb.control(path))
  right_arch(plan, path, fields.Architecture)
  local digest, size = localfile.digest(path)
  local item = { kind = "deb", name = fields.Package, version = fields.Version,
    arch = fields.Architecture, file = deb.file_name(fields), source = base_name(path),
    sha256 = digest, size = size }
  plan:claim(item, digest, path)
  plan:enforce(item)
  if bundle.has(plan.dir, item) then
    plan:keep(item)
  else
    plan:want(("%s from %s"):format(plans.show(item), path), size, function()
      local blob, message, code = store.add_file(plan.dir, path)
      return blob and { item }, message, code
    end)
  end
  return digest
end

-- The packages that an earlier run found for the same request, when all are there.
local function answered(plan, request)
  local closure, files, found = plan.closure, {}, {}
  if not closure or closure.request ~= request.key or plan.repin.packages then
    return nil
  end
  for _, item in pairs(plan.old) do
    files[item.kind == "deb" and item.file or ""] = item
  end
  for i, file in ipairs(closure.debs) do
    found[i] = files[file]
    if not found[i] or not bundle.has(plan.dir, found[i]) then
      return nil
    end
  end
  return found
end

local function link_known(plan, root, list)
  for _, package in ipairs(list) do
    local blob = package.sha256 and bundle.blob(plan.dir, package.sha256)
    local stat = blob and sys.stat(blob)
    local path = root .. "/archives/" .. package.name
    if stat and stat.size == package.size and not sys.stat(path) then
      sys.symlink(sys.realpath(blob), path)
    end
  end
end

local function fetch_closure(plan, request)
  local root = sys.realpath(plan.dir .. "/parts") .. "/apt"
  local list, message, code = apt.resolve(root, request)
  if not list then
    return nil, message, code
  end
  link_known(plan, root, list)
  local ok
  ok, message, code = apt.download(root, request)
  if not ok then
    return nil, message, code
  end
  local items, debs = {}, {}
  for i, package in ipairs(list) do
    items[i], message, code = deb.add(plan.dir, apt.file(root, package))
    if not items[i] then
      return nil, message, code
    elseif package.sha256 and package.sha256 ~= items[i].sha256 then
      return nil, ("%s has the SHA-256 %s, but the lists say %s"):format(package.name,
        items[i].sha256, package.sha256), "EBADMSG"
    end
    items[i].source = package.source
    debs[i] = items[i].file
  end
  plan.closure = { request = request.key, debs = debs }
  return items
end

local function plan_packages(plan, packages)
  local request = { names = packages.names, debs = packages.debs, own = data.list {},
    sources = packages.sources, installed = packages.installed, arch = plan.wanted.arch }
  for i, path in ipairs(packages.debs) do
    request.own[i] = plan_deb(plan, path)
  end
  if #packages.names == 0 then
    plan.closure = nil
    return
  end
  request.key = apt.key(request)
  local found = answered(plan, request)
  for _, item in ipairs(found or {}) do
    plan:keep(item)
  end
  if not found then
    plan:want(("packages %s, and what they depend on"):format(table.concat(packages.names, ", ")),
      nil, function()
        return fetch_closure(plan, request)
      end)
  end
end

-- The index is made whenever something else is; here it is missing alone.
local function plan_index(plan)
  local has_debs = false
  for _, item in pairs(plan.items) do
    has_debs = has_debs or item.kind == "deb"
  end
  local index = plan.old[plans.key { kind = "file", name = "Packages" }]
  if has_debs and #plan.todo == 0 and not (index and bundle.has(plan.dir, index)) then
    plan:want("the index of packages", nil, function()
      return {}
    end)
  end
end

--- Compare all.
-- @param plan plan: its old items are there
-- @raise as kb.bundle.plan refuses
function M.look(plan)
  local wanted = plan.wanted
  for _, file in ipairs(wanted.files) do
    local look_at = file.path and plan_local_file or plan_remote_file
    look_at(plan, file)
  end
  for _, path in ipairs(wanted.archives) do
    plan_archive(plan, path)
  end
  for _, image in ipairs(wanted.images) do
    plan_image(plan, image)
  end
  plan_packages(plan, wanted.packages)
  plan_index(plan)
end

return M
