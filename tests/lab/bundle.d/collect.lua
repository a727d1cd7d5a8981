-- Put packages and image archives into a bundle: kbrun lua collect.lua DIR DEBS IMAGES
local bundle = require "kb.bundle"
local deb = require "kb.bundle.deb"
local image = require "kb.bundle.image"
local images = require "kb.images"
local store = require "kb.bundle.store"
local sys = require "kb.core.sys"

local dir, debs, archives = ...
local items = {}
assert(store.prepare(dir))
for _, path in ipairs(sys.glob(debs .. "/*.deb")) do
  items[#items + 1] = assert(deb.add(dir, path))
end
for _, path in ipairs(sys.glob(archives .. "/*.tar")) do
  for _, item in ipairs(assert(image.split(dir, assert(images.read(path))))) do
    items[#items + 1] = item
  end
end
items[#items + 1] = assert(deb.index(dir, items))
assert(bundle.save(dir, items))
