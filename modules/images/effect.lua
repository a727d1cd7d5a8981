--- What a container runtime has after images were loaded and named.

local M = {}

local function copy_of(present)
  local copy = {}
  for id, image in pairs(present) do
    copy[id] = { names = {}, layers = image.layers, blobs = image.blobs }
    for name in pairs(image.names) do
      copy[id].names[name] = true
    end
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

local function present_after(work, runtime, present)
  local after, given = copy_of(present), {}
  for _, image in ipairs(work.load) do
    after[image.id] = { names = {}, blobs = image.blobs,
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

-- What only images had that are gone goes, at some time. Of images that were unpacked something may
-- have gone before.
local function contents_after(work, contents, present, after)
  local set, loaded = {}, {}
  for digest in pairs(contents) do
    set[digest] = true
  end
  for id, image in pairs(present) do
    for _, digest in ipairs(after[id] and {} or image.blobs) do
      set[digest] = nil
    end
  end
  for _, image in ipairs(work.load) do
    loaded[image.id] = true
  end
  for id, image in pairs(after) do
    for _, digest in ipairs(image.blobs) do
      set[digest] = loaded[id] or contents[digest]
    end
  end
  return set
end

--- The effect of images.loaded.
-- @param work plan from kb.images
-- @param runtime string
-- @param fact function
-- @return list
function M.loaded(work, runtime, fact)
  local present = fact("images.present", runtime)
  local after = present_after(work, runtime, present)
  local effect = { { "images.present", runtime, after } }
  if runtime == "containerd" then
    effect[2] = { "images.contents", runtime,
      contents_after(work, fact("images.contents", runtime), present, after) }
  end
  return effect
end

return M
