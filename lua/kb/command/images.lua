--- kbrun images: what archives of container images hold, and whether they are whole; what nodes
-- have of images, and whether that is what they will ask for.
local columns = require "kb.columns"
local common = require "kb.command.common"
local images = require "kb.images"
local images_nodes = require "kb.command.images_nodes"
local json = require "kb.json"
local term = require "kb.term"

local function row_of(archive, image)
  local bytes, layers = 0, {}
  for i, layer in ipairs(image.layers) do
    bytes = bytes + layer.entry.size
    layers[i] = layer.diff_id
  end
  return { archive = archive.path, format = archive.format, id = image.id, names = image.tags,
    platform = ("%s/%s"):format(image.os, image.architecture), layers = layers, size = bytes }
end

-- Read all archives; what is wrong with one does not hide the others.
local function read_all(opts, paths)
  local rows, faults = {}, {}
  for _, path in ipairs(paths) do
    local archive, message = images.read(path, { platform = opts.platform })
    if not archive then
      faults[#faults + 1] = message
    end
    for _, image in ipairs(archive and archive.images or {}) do
      rows[#rows + 1] = row_of(archive, image)
    end
  end
  return rows, faults
end

local function report(faults)
  for _, fault in ipairs(faults) do
    io.stderr:write("kbrun images: ", term.clean(fault), "\n")
  end
  return #faults == 0 and common.exit.done or common.exit.failed
end

local function list(opts, paths)
  local rows, faults = read_all(opts, paths)
  if opts.json then
    io.write(json.encode(rows), "\n")
    return report(faults)
  end
  local cells = { { "NAME", "ID", "PLATFORM", "LAYERS", "SIZE", "ARCHIVE" } }
  for _, row in ipairs(rows) do
    for _, name in ipairs(#row.names > 0 and row.names or { "-" }) do
      cells[#cells + 1] = { term.clean(name), row.id:sub(8, 19), term.clean(row.platform),
        tostring(#row.layers), term.bytes(row.size), row.archive }
    end
  end
  io.write(columns.text(cells))
  return report(faults)
end

local function verify(opts, paths)
  local rows, faults = read_all(opts, paths)
  if not opts.quiet then
    io.stderr:write(("whole: %d of %d archives; images in them: %d\n"):format(#paths - #faults,
      #paths, #rows))
  end
  return report(faults)
end

local actions = { ls = list, verify = verify }
local of_nodes = { ls = images_nodes.list, verify = images_nodes.verify }

local function run(opts, args)
  local action = actions[args[1]]
  if not action then
    return nil, ("there is no `images %s`; there are ls and verify"):format(args[1])
  elseif #opts.inventory == 0 then
    return action(opts, table.move(args, 2, #args, 1, {}))
  elseif #args ~= 2 then
    return nil, "with an inventory, one pattern of hosts is expected: masters:workers"
  end
  return of_nodes[args[1]](opts, args[2])
end

return {
  name = "images",
  summary = "what archives of container images hold, and what nodes have and lack",
  usage = "ls|verify ARCHIVE...|-i FILE PATTERN",
  description = [[
Archives are those of `docker save` and OCI layouts, as tar, tar.gz or tar.zst.
Both actions read all of an archive and check it: that it is not truncated, that
no layer is missing, that everything is what its digest says, and that no path
leads out of it. ls lists the images; verify says only what is wrong.

With an inventory, nodes are asked instead: ls lists the images that docker or
containerd has on them; verify compares these with what will be asked for: by
kubeadm, by the runtime for its pods, by static pods, by the variable cluster's
bundle, and by manifests named with --manifest.

The exit status is 4 when an archive is broken, or a node lacks an image.]],
  arguments = {
    { name = "ACTION", help = "ls or verify" },
    { name = "ARCHIVE", list = true, help = "the archives, or a pattern of hosts" },
  },
  options = common.options({
    { long = "platform", value = "OS/ARCH", default = "linux/amd64",
      help = "of archives for several platforms, the images for this one" },
    { long = "manifest", value = "FILE", list = true,
      help = "of nodes: images in this YAML are asked for, too" },
  }, common.inventory, common.connection, common.only(common.output, "json", "quiet", "no-color")),
  run = run,
}
