--- Manifests as data: documents, and the images that they name.

local bundle = require "modules.bundle"
local data = require "kb.data"
local kb = require "kb"
local yaml = require "kb.yaml"

local M = {}

--- The text of a manifest: a file of the bundle, or one of the operator's machine.
-- @param c table: the cluster's settings
-- @param name string: an absolute path, or the name of a file in the bundle
-- @return string
-- @raise kb.err of kind failed when there is none
function M.text(c, name)
  if name:find("^/") then
    return kb.read_file(name)
  end
  for _, item in ipairs(bundle.items(c.bundle)) do
    if item.kind == "file" and (item.file or item.name) == name then
      return kb.read_file(item.path and c.bundle .. "/" .. item.path
        or ("%s/blobs/sha256/%s"):format(c.bundle, item.sha256))
    end
  end
  kb.refuse(("the bundle %s has no file %s"):format(c.bundle, name),
    "put it into the bundle, or name an absolute path on this machine")
end

--- The documents of a manifest.
-- @param text string
-- @param name string: for errors
-- @return list of maps
function M.documents(text, name)
  local documents, message = yaml.load_all(text, { name = name, version = "1.1" })
  if not documents then
    kb.refuse(message)
  end
  local kept = {}
  for _, document in ipairs(documents) do
    if data.kind(document) == "map" then
      if document.kind == nil or document.apiVersion == nil then
        kb.refuse(("%s: a document without kind or apiVersion"):format(name))
      end
      kept[#kept + 1] = document
    end
  end
  return kept
end

local function walk(value, found)
  if type(value) ~= "table" then
    return
  end
  for key, item in data.pairs(value) do
    if key == "image" and type(item) == "string" then
      found[item] = true
    else
      walk(item, found)
    end
  end
end

--- The images that the containers of some documents name.
-- @param documents list of maps
-- @return list of strings, sorted
function M.images(documents)
  local set, list = {}, {}
  for _, document in ipairs(documents) do
    if document.kind ~= "CustomResourceDefinition" then -- whose schemas may have a field image
      walk(document.spec, set)
    end
  end
  for name in pairs(set) do
    list[#list + 1] = name
  end
  table.sort(list)
  return list
end

--- An image's name in full: "weaveworks/weave-kube:2.8.1" is docker.io's.
-- @param name string
-- @return string
function M.full_name(name)
  local first = name:match("^([^/]+)/")
  if not first then
    name = "docker.io/library/" .. name
  elseif not first:find("[.:]") and first ~= "localhost" then
    name = "docker.io/" .. name
  end
  return name:find("@", 1, true) and name or name:find(":[^/]*$") and name or name .. ":latest"
end

--- Refuse a manifest that names images which the bundle has not: the nodes could not pull them.
-- @param c table: the cluster's settings
-- @param documents list of maps
-- @param name string: the manifest's, for the error
-- @raise kb.err of kind failed with all that are missing
function M.check_images(c, documents, name)
  local has, missing = {}, {}
  for _, image in ipairs(bundle.images(c.bundle)) do
    has[M.full_name(image.name)] = true
  end
  for _, image in ipairs(M.images(documents)) do
    if not has[M.full_name(image)] then
      missing[#missing + 1] = image
    end
  end
  if #missing > 0 then
    kb.refuse(("%s names images that the bundle %s has not: %s"):format(name, c.bundle,
      table.concat(missing, ", ")), "add them to the bundle, or name another manifest")
  end
end

return M
