--- What a container runtime has after images were loaded and named.

local data = require "kb.data"

local M = {}

local function copy_of(present)
  local copy = {}
  for id, image in pairs(present) do
    copy[id] = { names = data.copy(image.names), layers = image.layers,
      blobs = image.blobs and data.copy(image.blobs) }
  end
  return copy
end

local function diff_ids(image)
  local list = {}
  for i, layer in ipairs(image.layers) do
    list[i] = layer.diff_id
  end
  return list
end

-- A name belongs to one image. docker keeps those that lose their last name, containerd does not.
local function take_names(after, given, runtime)
  for name, owner in pairs(given) do
    for id, image in pairs(after) do
      if id ~= owner and image.names[name] then
        image.names[name] = nil
        after[id] = (runtime == "docker" or next(image.names)) and image or nil
      end
    end
  end
end

-- The contents that came are there for every image that consists of them.
local function take_blobs(after, image)
  local blobs = {}
  for _, digest in ipairs(image.blobs) do
    blobs[digest] = true
    for _, one in pairs(after) do
      if one.blobs[digest] ~= nil then
        one.blobs[digest] = true
      end
    end
  end
  return blobs
end

local function present_after(work, runtime, present)
  local after, given = copy_of(present), {}
  for _, image in ipairs(work.load) do
    after[image.id] = { names = {}, blobs = runtime ~= "docker" and take_blobs(after, image) or nil,
      layers = runtime == "docker" and diff_ids(image) or nil }
    for _, tag in ipairs(image.tags) do
      after[image.id].names[tag], given[tag] = true, image.id
    end
  end
  for _, entry in ipairs(work.names) do
    after[entry.id].names[entry.name], given[entry.name] = true, entry.id
  end
  take_names(after, given, runtime)
  return after
end

--- The effect of images.loaded.
-- @param work plan from kb.images
-- @param runtime string
-- @param fact function
-- @return list
function M.loaded(work, runtime, fact)
  return { { "images.present", runtime,
    present_after(work, runtime, fact("images.present", runtime)) } }
end

return M
