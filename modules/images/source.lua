--- Where images come from: archives and bundles on the operator's machine.

local bundle = require "modules.bundle"
local image_of = require "kb.bundle.image"
local images = require "kb.images"
local kb = require "kb"

local M = {}

-- The names that are asked for; all when none are.
local function wanted_of(args)
  local wanted = {}
  for _, name in ipairs(args.names) do
    wanted[images.reference.full(name)] = "asked for"
  end
  return wanted, #args.names == 0
end

-- The images of an archive that are asked for, each with the names that are.
local function chosen(list, wanted, all)
  local kept = {}
  for _, image in ipairs(list) do
    local tags = {}
    for _, tag in ipairs(image.tags) do
      if all or wanted[tag] then
        wanted[tag] = "found"
        tags[#tags + 1] = tag
      end
    end
    if #tags > 0 or all then
      image.tags = tags
      kept[#kept + 1] = image
    end
  end
  return kept
end

-- The images of a bundle, as its list knows them: an item for each name.
local function listed(dir)
  local list, by_id = {}, {}
  for _, item in ipairs(bundle.items(dir, "image")) do
    local image = by_id[item.id]
    if not image then
      image = { id = item.id, tags = {}, item = item }
      list[#list + 1], by_id[item.id] = image, image
    end
    image.tags[#image.tags + 1] = images.reference.full(item.name)
  end
  return list
end

-- Only what the host does not have is looked at.
local function of_bundle(dir, wanted, all, present)
  local list = chosen(listed(dir), wanted, all)
  for i, image in ipairs(list) do
    if not present[image.id] then
      local read, message = image_of.read(dir, image.item)
      if not read then
        kb.refuse(message, "nothing was sent; kbrun bundle verify tells what the bundle lacks")
      end
      read.tags, list[i] = image.tags, read
    end
  end
  return { path = dir, images = list }
end

-- An image that does not say what it is for may be for everything, as one of files alone.
local function check_platform(path, image, platform)
  local own = ("%s/%s"):format(image.os, image.architecture)
  if own ~= platform and image.architecture ~= "" then
    kb.refuse(("%s: %s is for %s, and not for %s"):format(path,
      images.reference.short(image.tags[1] or image.id), own, platform),
      "nothing was sent; `platform` says what the host is, where that is not " .. platform)
  end
end

local function of_archive(path, args, wanted, all)
  local archive, message = images.read(path, { platform = args.platform })
  if not archive then
    kb.refuse(message, "nothing was sent to the host")
  end
  archive.images = chosen(archive.images, wanted, all)
  for _, image in ipairs(archive.images) do
    check_platform(path, image, args.platform)
  end
  return archive
end

local function check_found(args, wanted)
  for name, state in pairs(wanted) do
    if state ~= "found" then
      local places = table.move(args.archive, 1, #args.archive, 1, {})
      places[#places + 1] = args.bundle
      kb.refuse(("there is no image %s in %s"):format(name, table.concat(places, ", ")),
        "kbrun images ls FILE tells what is in an archive, kbrun bundle ls what is in a bundle")
    end
  end
end

-- A name that stood for two images would go back and forth between them, a run each.
local function check_names(list)
  local owners = {}
  for _, archive in ipairs(list) do
    for _, image in ipairs(archive.images) do
      for _, tag in ipairs(image.tags) do
        local owner = owners[tag]
        if owner and owner.id ~= image.id then
          kb.refuse(("%s is the image %s in %s, and %s in %s"):format(images.reference.short(tag),
            owner.id, owner.path, image.id, archive.path),
            "leave one of them out, or ask for others by their names")
        end
        owners[tag] = owner or { id = image.id, path = archive.path }
      end
    end
  end
end

--- The images that are asked for.
-- @param args table: of images.loaded
-- @param present table: the images that the host has, by id
-- @return list of archives, for kb.images.plan
-- @raise kb.err when one is broken, or a name is in none, or stands for two images
function M.archives(args, present)
  if #args.archive == 0 and not args.bundle then
    kb.refuse("images.loaded needs an archive or a bundle to take images from")
  end
  local list, wanted, all = {}, wanted_of(args)
  for i, path in ipairs(args.archive) do
    list[i] = of_archive(path, args, wanted, all)
  end
  if args.bundle then
    list[#list + 1] = of_bundle(args.bundle, wanted, all, present)
  end
  check_found(args, wanted)
  check_names(list)
  return list
end

return M
