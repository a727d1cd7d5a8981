--- Image archives made by tests, as docker save writes them, whole or broken.
local check = require "lib.check"
local crypto = require "kb.core.crypto"
local json = require "kb.json"
local program = require "lib.program"
local reader_of = require "kb.tar.reader"
local sys = require "kb.core.sys"
local tar = require "kb.tar"

local M = {}

--- The header of a file in a tar.
-- @param name string
-- @param size integer
-- @return string
function M.header(name, size)
  return tar.header { path = name, kind = "file", mode = 420, mtime = 0, size = size }
end

--- A tar of files.
-- @param files list of {name, content}
-- @return string
function M.tar(files)
  local parts = {}
  for _, file in ipairs(files) do
    parts[#parts + 1] = M.header(file[1], #file[2]) .. file[2] .. tar.padding(#file[2])
  end
  return table.concat(parts) .. tar.ending
end

--- A layer with one file in it.
-- @param name string
-- @param size integer: of the file (100)
-- @return string: a tar
function M.layer(name, size)
  return M.tar { { name, name:rep((size or 100) // #name + 1):sub(1, size or 100) } }
end

function M.digest(content)
  return "sha256:" .. crypto.digest("sha256", content)
end

--- The files of an image: its config and layers.
-- @param layers list of strings
-- @return table: config, id, diff_ids
function M.image(layers)
  local diff_ids = {}
  for i, layer in ipairs(layers) do
    diff_ids[i] = M.digest(layer)
  end
  local config = json.encode({ architecture = "amd64", os = "linux", config = { Cmd = { "/x" } },
    rootfs = { type = "layers", diff_ids = diff_ids } }, { sort = true })
  return { config = config, id = M.digest(config), diff_ids = diff_ids, layers = layers }
end

--- The files of a docker-archive of one image.
-- @param image table from `image`
-- @param tags list of strings
-- @return list of {name, content}
function M.docker_files(image, tags)
  local files, paths = {}, {}
  for i, layer in ipairs(image.layers) do
    paths[i] = ("layer%d/layer.tar"):format(i)
    files[i] = { paths[i], layer }
  end
  local config = image.id:sub(8) .. ".json"
  files[#files + 1] = { config, image.config }
  files[#files + 1] = { "manifest.json", json.encode({ { Config = config, RepoTags = tags,
    Layers = paths } }) }
  return files
end

--- Write a file.
-- @param dir table from lib.scratch
-- @param name string
-- @param content string or list of {name, content}, which become a tar
-- @return string: its path
function M.write(dir, name, content)
  local path = dir.path .. "/" .. name
  check.ok(sys.write_file(path, type(content) == "string" and content or M.tar(content)))
  return path
end

--- Compress a file.
-- @param path string
-- @param suffix string: ".gz" or ".zst"
-- @return string: the path of the compressed one
function M.compress(path, suffix)
  local program_name = suffix == ".gz" and "gzip" or "zstd"
  check.equal(program.run({ program_name, "-qkf", path }).status, 0)
  return path .. suffix
end

--- All that a plan sends.
-- @param plan plan
-- @return list of {name, content, kind}; and the stream itself
function M.received(plan)
  local parts = {}
  local stream <close> = plan:stream()
  while true do
    local chunk, message = stream()
    if message then
      error(message, 2)
    elseif not chunk then
      break
    end
    parts[#parts + 1] = chunk
  end
  local whole, at, files = table.concat(parts), 1, {}
  local reader = reader_of.new { read = function(_, n)
    at = at + n
    return whole:sub(at - n, at - 1)
  end, skip = function(_, n)
    at = at + n
    return math.min(n, #whole - (at - n) + 1)
  end }
  while true do
    local entry, message = reader:next()
    if not entry then
      check.equal(message, nil)
      return files, whole
    end
    local content = {}
    for data in function() return (reader:content()) end do
      content[#content + 1] = data
    end
    files[#files + 1] = { entry.name, table.concat(content) }
  end
end

return M
