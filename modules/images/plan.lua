--- The plan of images in a container runtime.

local bundle = require "modules.bundle"
local effect_of = require "modules.images.effect"
local images = require "kb.images"
local data = require "kb.data"
local kb = require "kb"
local source = require "modules.images.source"

local M = {}

--- The questions of images.loaded.
function M.questions(args)
  if not args.runtime then
    return { { "unit.state", "docker.service" }, { "unit.state", "containerd.service" } }
  end
  return { { "images.present", args.runtime }, { "bundle.blobs" } }
end

-- docker runs a containerd of its own, in which Kubernetes' images are not.
local function runtime_of(args, fact)
  if args.runtime then
    return args.runtime
  end
  for _, runtime in ipairs { "docker", "containerd" } do
    if fact("unit.state", runtime .. ".service").active == "active" then
      return runtime
    end
  end
  kb.refuse("neither docker nor containerd runs on this host",
    "install one first; a play that does so is named in needs = …")
end

-- What the host has, as kb.images.plan takes it.
local function inventory_of(runtime, fact)
  local have = { runtime = runtime, images = {}, chains = {}, blobs = {}, staged = {} }
  for sha256, size in pairs(fact("bundle.blobs")) do
    have.staged["sha256:" .. sha256] = size
  end
  for id, image in pairs(fact("images.present", runtime)) do
    have.images[id] = data.sorted_keys(image.names)
    for _, chain in ipairs(images.chain_ids(image.layers or {})) do
      have.chains[chain] = true
    end
    for digest, there in pairs(image.blobs or {}) do
      have.blobs[digest] = there or have.blobs[digest]
    end
  end
  return have
end

-- The host's own part of the stream's beginning, then the rest of it.
local function feeding(work)
  local parts = {}
  for i, blob in ipairs(work.staged) do
    parts[i] = ("head -c 512 && cat -- %s && head -c %d /dev/zero && "):format(
      kb.quote(bundle.place(blob.digest:sub(8))), blob.padding)
  end
  return "{ " .. table.concat(parts) .. "cat; }"
end

-- An import that fails may have recorded images whose content is not there.
local IMPORT = [[
%s | ctr -n k8s.io images import - && exit
for name in $(ctr -n k8s.io images check 2>/dev/null |
  awk '$4 == "incomplete" && $NF == "false" { print $1 }'); do
  case " "%s" " in *" $name "*) ctr -n k8s.io images rm "$name" >/dev/null ;; esac
done
exit 1]]

local function loading(work, runtime)
  local stream
  local action = { size = work.bytes, fails = runtime == "docker" and "docker load failed"
    or "ctr images import failed", stdin = function()
    stream = stream or work:stream()
    return stream()
  end }
  if runtime == "docker" then
    action.run = feeding(work) .. " | docker load -q"
    return action
  end
  local names = {}
  for _, image in ipairs(work.load) do
    table.move(image.tags, 1, #image.tags, #names + 1, names)
  end
  action.run = IMPORT:format(feeding(work), kb.quote(table.concat(names, " ")))
  return action
end

local function naming(entry, runtime)
  if runtime == "docker" then
    return "docker tag " .. kb.words { entry.id, images.reference.short(entry.name) }
  end
  return "ctr -n k8s.io images tag --force " .. kb.words { entry.existing, entry.name }
end

local function title_of(work)
  local parts = {}
  if #work.load > 0 then
    parts[1] = ("load %d images: send %d of %d layers, %.1f MB"):format(#work.load,
      work.layers_sent, work.layers, work.bytes / 1e6)
  end
  if #work.names > 0 then
    parts[#parts + 1] = ("name %d images"):format(#work.names)
  end
  return table.concat(parts, "; ")
end

local function diff_of(work)
  local lines = {}
  for _, image in ipairs(work.load) do
    for _, tag in ipairs(image.tags) do
      lines[#lines + 1] = ("+%s %s"):format(images.reference.short(tag), image.id)
    end
  end
  for _, entry in ipairs(work.names) do
    lines[#lines + 1] = ("+%s %s (there as %s)"):format(images.reference.short(entry.name),
      entry.id, entry.existing or "an image without a name")
  end
  return table.concat(lines, "\n")
end

--- The plan of images.loaded.
-- @param args table
-- @param fact function
-- @return change, or nil and a reason
function M.loaded(args, fact)
  local runtime = runtime_of(args, fact)
  local archives = source.archives(args, fact("images.present", runtime))
  local work = images.plan(archives, inventory_of(runtime, fact))
  if #work.load == 0 and #work.names == 0 then
    return nil, ("%s has all %d images"):format(runtime, #work.present)
  end
  local whole, message = work:check()
  if not whole then
    kb.refuse(message, "nothing was sent; kbrun bundle verify tells what the bundle lacks")
  end
  local actions = {}
  if #work.load > 0 then
    actions[1] = loading(work, runtime)
  end
  for _, entry in ipairs(work.names) do
    actions[#actions + 1] = naming(entry, runtime)
  end
  return { title = title_of(work), diff = diff_of(work), actions = actions,
    effect = effect_of.loaded(work, runtime, fact) }
end

return M
