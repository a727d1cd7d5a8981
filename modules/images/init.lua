--- Images in the container runtime of a host, docker or containerd.

local kb = require "kb"
local plan = require "modules.images.plan"
local survey = require "modules.images.survey"

local M = {}

--- Whether a node is to have an image; see modules/images/survey.lua.
M.is_for = survey.is_for

--- The images of a node; see modules/images/survey.lua.
M.stock = survey.stock

--- What a node asks for, and whether it is there; see modules/images/survey.lua.
M.survey = survey.survey

--- Images that a host's runtime has, under their names.
-- An image is there when the runtime has one of the same id, the digest of its configuration; a
-- name that is missing or stands for another image is then given to it. Of images that are not
-- there only the layers travel that the host does not have, shared ones once, in one stream and
-- with no file written on the way; layers among the host's blobs of the bundle do not travel at
-- all. An archive that is not whole is refused before anything is sent. What a failed import has
-- half recorded is removed again.
-- @param names list: which ones; absent: all there are
-- @param archive list: archives of `docker save` or OCI layouts on the operator's machine, as tar,
-- tar.gz or tar.zst: in files/ beside the playbook, beside it, or absolute
-- @param bundle path: a bundle on the operator's machine
-- @param runtime string: docker or containerd (namespace k8s.io); absent: docker where its service
-- runs, else containerd
-- @param platform string: of archives for several platforms, the images for this one
M.loaded = kb.op {
  name = "images.loaded",
  args = { { "names", "list", "which ones; absent: all there are", at = 1, default = {} },
    { "archive", "list", "archives on the operator's machine", default = {}, file = "files" },
    { "bundle", "path", "a bundle on the operator's machine" },
    { "runtime", { "docker", "containerd" }, "who is to have them" },
    { "platform", "string", "of several, the images for this one", default = "linux/amd64" } },
  facts = plan.questions,
  prepare = function(host, args)
    local found = {}
    for i, path in ipairs(args.archive) do
      found[i] = kb.find_file(host, path, "files")
    end
    args.archive = found
    return args
  end,
  plan = plan.loaded,
}

return M
