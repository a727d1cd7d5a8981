--- Make a bundle what a declaration says: look what is missing, fetch it, keep what is there.
--
-- What is fetched for the first time is pinned by its digest in bundle.yaml. A pin is for a kind, a
-- name and a version, and holds until the version changes or it is given up by name.
local apt = require "kb.bundle.apt"
local bundle = require "kb.bundle"
local curl = require "kb.core.curl"
local data = require "kb.data"
local deb = require "kb.bundle.deb"
local download = require "kb.bundle.download"
local image_of = require "kb.bundle.image"
local images = require "kb.images"
local localfile = require "kb.localfile"
local program = require "kb.bundle.program"
local reference = require "kb.images.reference"
local registry = require "kb.bundle.registry"
local store = require "kb.bundle.store"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local M = {}

local Plan = {}
Plan.__index = Plan

local function fail(message, ...)
  error({ refusal = message:format(...) }, 0)
end

local function must(value, message)
  return value or fail("%s", message)
end

-- What makes an item the same one as before, whatever its content.
local function key_of(item)
  return table.concat({ item.kind, item.name, item.kind == "image" and "" or item.version or "",
    item.kind == "deb" and item.arch or "" }, "\0")
end

local function digest_of(item)
  return item.kind == "image" and item.id:sub(8) or item.sha256
end

local function show(item)
  local version = item.kind ~= "image" and item.version
  return ("%s %s%s"):format(item.kind, item.name, version and " " .. version or "")
end

-- The pinned item of the same kind, name and version, unless the pin was given up.
function Plan:pinned(item)
  return not self.repin[item.name] and self.old[key_of(item)] or nil
end

-- What was found must be what is pinned.
function Plan:enforce(item)
  local pinned = self:pinned(item)
  if pinned and digest_of(pinned) ~= digest_of(item) then
    fail("%s was pinned with sha256 %s, and is now %s: give it another version in the declaration, "
      .. "or accept it with --extra repin=%s", show(item), digest_of(pinned), digest_of(item),
      item.name)
  end
  return pinned
end

-- The item is in the bundle, as it was before.
function Plan:keep(item)
  self.items[key_of(item)] = item
end

-- Something is to be done: fn() gives a list of items; or nil, message, code.
function Plan:want(text, bytes, fn)
  self.todo[#self.todo + 1] = { text = text, bytes = bytes, run = fn }
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

local function plan_local_file(self, wanted)
  local digest, size = localfile.digest(wanted.path)
  local item = item_of(wanted, { sha256 = digest, size = size }, base_name(wanted.path))
  if wanted.sha256 and wanted.sha256 ~= digest then
    fail("%s has the SHA-256 %s, but the declaration says %s", wanted.path, digest, wanted.sha256)
  end
  self:enforce(item)
  if bundle.has(self.dir, item) then
    return self:keep(item)
  end
  self:want(("%s from %s"):format(show(item), wanted.path), size, function()
    local blob, message, code = store.add_file(self.dir, wanted.path)
    return blob and { item_of(wanted, blob, item.source) }, message, code
  end)
end

local function plan_remote_file(self, wanted)
  local pinned = self:pinned(wanted)
  if pinned and wanted.sha256 and pinned.sha256 ~= wanted.sha256 then
    fail("%s is pinned with sha256 %s, but the declaration says %s: give it another version there, "
      .. "or accept it with --extra repin=%s", show(wanted), pinned.sha256, wanted.sha256,
      wanted.name)
  elseif pinned and bundle.has(self.dir, pinned) then
    return self:keep(like(pinned, wanted))
  end
  local all = self.wanted
  local spec = { urls = wanted.urls, sha256 = pinned and pinned.sha256 or wanted.sha256,
    ca = all.ca, protocols = all.protocols, redirect_protocols = all.redirect_protocols }
  self:want(("%s from %s"):format(show(wanted), wanted.urls[1]), pinned and pinned.size, function()
    local blob, message, code = download.fetch(self.session, self.dir, spec)
    return blob and { item_of(wanted, blob, blob.source) }, message, code
  end)
end

local function plan_archive(self, path)
  local archive = must(images.read(path, { platform = "linux/" .. self.wanted.arch }))
  local missing, names = false, {}
  for _, image in ipairs(archive.images) do
    for _, tag in ipairs(image.tags) do
      local item = { kind = "image", name = reference.short(tag), id = image.id }
      local pinned = self:enforce(item)
      names[#names + 1] = item.name
      if pinned and bundle.has(self.dir, pinned) then
        self:keep(pinned)
      else
        missing = true
      end
    end
  end
  if #names == 0 then
    fail("%s: its images have no names", path)
  elseif missing then
    self:want(("image %s from %s"):format(table.concat(names, ", "), path), archive.size, function()
      local items, message, code = image_of.split(self.dir, archive)
      for _, item in ipairs(items or {}) do
        item.source = base_name(path)
      end
      return items, message, code
    end)
  end
end

local function plan_image(self, wanted)
  local item = { kind = "image", name = reference.short(wanted.name) }
  local pinned = self:pinned(item)
  if pinned and bundle.has(self.dir, pinned) then
    return self:keep(pinned)
  end
  self:want(("%s from %s"):format(show(item), wanted.from[1]), nil, function()
    local made, message, code = registry.fetch(self.dir, wanted, self.wanted.arch,
      pinned and pinned.id)
    return made and { made }, message, code
  end)
end

-- A package of one's own; what tells it from others.
local function plan_deb(self, path)
  local fields = must(deb.control(path))
  local digest, size = localfile.digest(path)
  local item = { kind = "deb", name = fields.Package, version = fields.Version,
    arch = fields.Architecture, file = deb.file_name(fields), source = base_name(path),
    sha256 = digest, size = size }
  self:enforce(item)
  if bundle.has(self.dir, item) then
    self:keep(item)
  else
    self:want(("%s from %s"):format(show(item), path), size, function()
      local blob, message, code = store.add_file(self.dir, path)
      return blob and { item }, message, code
    end)
  end
  return digest
end

-- The packages that an earlier run found for the same request, when all are there.
function Plan:answered(request)
  local closure, files, found = self.closure, {}, {}
  if not closure or closure.request ~= request.key or self.repin.packages then
    return nil
  end
  for _, item in pairs(self.old) do
    files[item.kind == "deb" and item.file or ""] = item
  end
  for i, file in ipairs(closure.debs) do
    found[i] = files[file]
    if not found[i] or not bundle.has(self.dir, found[i]) then
      return nil
    end
  end
  return found
end

local function link_known(self, root, list)
  for _, package in ipairs(list) do
    local blob = package.sha256 and bundle.blob(self.dir, package.sha256)
    local stat = blob and sys.stat(blob)
    local path = root .. "/archives/" .. package.name
    if stat and stat.size == package.size and not sys.stat(path) then
      sys.symlink(sys.realpath(blob), path)
    end
  end
end

local function fetch_closure(self, request)
  local root = sys.realpath(self.dir .. "/parts") .. "/apt"
  local list, message, code = apt.resolve(root, request)
  if not list then
    return nil, message, code
  end
  link_known(self, root, list)
  local ok
  ok, message, code = apt.download(root, request)
  if not ok then
    return nil, message, code
  end
  local items, debs = {}, {}
  for i, package in ipairs(list) do
    items[i], message, code = deb.add(self.dir, apt.file(root, package))
    if not items[i] then
      return nil, message, code
    end
    items[i].source = package.source
    debs[i] = items[i].file
  end
  self.closure = { request = request.key, debs = debs }
  return items
end

local function plan_packages(self, packages)
  local request = { names = packages.names, debs = packages.debs, own = data.list {},
    sources = packages.sources, installed = packages.installed, arch = self.wanted.arch }
  for i, path in ipairs(packages.debs) do
    request.own[i] = plan_deb(self, path)
  end
  if #packages.names == 0 then
    self.closure = nil
    return
  end
  request.key = apt.key(request)
  local found = self:answered(request)
  for _, item in ipairs(found or {}) do
    self:keep(item)
  end
  if not found then
    self:want(("packages %s, and what they depend on"):format(table.concat(packages.names, ", ")),
      nil, function()
        return fetch_closure(self, request)
      end)
  end
end

-- The index is made whenever something else is; here it is missing alone.
local function plan_index(self)
  local has_debs = false
  for _, item in pairs(self.items) do
    has_debs = has_debs or item.kind == "deb"
  end
  local index = self.old[key_of { kind = "file", name = "Packages" }]
  if has_debs and #self.todo == 0 and not (index and bundle.has(self.dir, index)) then
    self:want("the index of packages", nil, function()
      return {}
    end)
  end
end

-- What the bundle has and the declaration has not. Packages of a closure that is to be worked out
-- anew are judged when that is done.
local function dropped(self)
  local list, closing = {}, {}
  for _, file in ipairs(self.closure and self.closure.debs or {}) do
    closing[file] = true
  end
  for key, item in pairs(self.old) do
    if not self.items[key] and item.source ~= "generated" and not self.coming[key]
      and not (item.kind == "deb" and closing[item.file]) then
      list[#list + 1] = show(item)
    end
  end
  table.sort(list)
  return list
end

local function load_old(self)
  local manifest, message, code = bundle.load(self.dir)
  if not manifest and code ~= "ENOENT" then
    fail("%s", message)
  end
  self.closure = manifest and manifest.closure
  for _, item in ipairs(manifest and manifest.items or {}) do
    self.old[key_of(item)] = item
  end
end

local function look(self)
  local wanted = self.wanted
  load_old(self)
  for _, file in ipairs(wanted.files) do
    local plan_file = file.path and plan_local_file or plan_remote_file
    plan_file(self, file)
    self.coming[key_of(file)] = true
  end
  for _, path in ipairs(wanted.archives) do
    plan_archive(self, path)
  end
  for _, image in ipairs(wanted.images) do
    plan_image(self, image)
    self.coming[key_of { kind = "image", name = reference.short(image.name) }] = true
  end
  plan_packages(self, wanted.packages)
  plan_index(self)
  self.dropped = dropped(self)
  return self
end

--- See what a bundle lacks; nothing is changed and nothing fetched.
-- @param dir string: the bundle, which need not be there
-- @param wanted table from kb.bundle.declaration
-- @param options table or nil: repin (list of names whose pins are given up; "packages": look for
--   newer ones)
-- @return plan: todo (list of { text, bytes }), dropped (list of texts); or nil, message
function M.plan(dir, wanted, options)
  local self = setmetatable({ dir = dir, wanted = wanted, old = {}, items = {}, todo = {},
    coming = {}, repin = {} }, Plan)
  for _, name in ipairs(options and options.repin or {}) do
    self.repin[name] = true
  end
  local ok, result = pcall(look, self)
  if ok then
    return result
  elseif type(result) == "table" and result.refusal then
    return nil, result.refusal
  end
  error(result, 0)
end

-- The items that bundle.yaml is to have now: those of old that are not replaced stay until the end,
-- so that a run that is killed has lost no pin.
function Plan:save(whole)
  local list, seen = {}, {}
  for key, item in pairs(self.items) do
    seen[key] = true
    list[#list + 1] = item
  end
  for key, item in pairs(whole and {} or self.old) do
    list[#list + 1] = not seen[key] and item or nil
  end
  return bundle.save(self.dir, list, self.closure)
end

function Plan:add(items)
  for _, item in ipairs(items) do
    self:enforce(item)
    self.items[key_of(item)] = item
  end
  return self:save(false)
end

-- Do one thing, and note what it brought or why it failed.
function Plan:work(todo, failures)
  local items, message = todo.run()
  if items then
    local ok, result, why = pcall(self.add, self, items)
    if not ok and type(result) == "table" and result.refusal then
      message = result.refusal
    elseif not ok then
      error(result, 0)
    else
      message = not result and why or nil
    end
  end
  if message then
    failures[#failures + 1] = ("%s:\n%s"):format(todo.text, message)
  end
end

-- So many at a time, in their order.
function Plan:work_all(parallel, on_start)
  local failures, next_one, tasks = {}, 1, {}
  for i = 1, math.min(parallel, #self.todo) do
    tasks[i] = task.spawn(function()
      while next_one <= #self.todo do
        local todo = self.todo[next_one]
        next_one = next_one + 1
        if on_start then
          on_start(todo.text)
        end
        self:work(todo, failures)
      end
    end)
  end
  for _, one in ipairs(tasks) do
    one:join()
  end
  return failures
end

local function prune(self)
  local used = {}
  for _, item in pairs(self.items) do
    for _, blob in ipairs(bundle.blobs_of(item)) do
      used[blob.sha256] = true
    end
  end
  for _, name in ipairs(sys.list(self.dir .. "/blobs/sha256") or {}) do
    if not used[name] then
      sys.remove(self.dir .. "/blobs/sha256/" .. name)
    end
  end
  return program.run { "rm", "-rf", "--", self.dir .. "/parts" }
end

local function finish(self)
  local list = {}
  for _, item in pairs(self.items) do
    list[#list + 1] = item
  end
  local index, message, code = deb.index(self.dir, list)
  if message then
    return nil, message, code
  elseif index then
    self.items[key_of(index)] = index
  end
  local ok
  ok, message, code = self:save(true)
  if not ok then
    return nil, message, code
  end
  return prune(self)
end

--- Fetch what a plan says, write bundle.yaml, and remove what is not declared. What was fetched
-- before a failure stays, and another run goes on from there.
-- @param options table or nil: parallel (how many things at a time: 4), on_start (function(text):
--   something begins)
-- @return true; or nil, message (all that failed), code
function Plan:apply(options)
  options = options or {}
  local ok, message, code = store.prepare(self.dir)
  if not ok then
    return nil, message, code
  end
  local lock
  lock, message, code = sys.lock(self.dir .. "/.lock")
  if not lock then
    return nil, message or ("another kbrun is making the bundle %s"):format(self.dir),
      code or "EBUSY"
  end
  local session <close> = curl.session()
  local _ <close> = setmetatable({}, { __close = function()
    sys.unlock(lock)
  end })
  self.session = session
  local failures = self:work_all(options.parallel or 4, options.on_start)
  if #failures > 0 then
    return nil, table.concat(failures, "\n"), "EIO"
  end
  return finish(self)
end

return M
