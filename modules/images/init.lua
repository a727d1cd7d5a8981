--- Images in the container runtime of a host, docker or containerd.

local evidence = require "modules.evidence"
local kb = require "kb"
local plan = require "modules.images.plan"
local survey = require "modules.images.survey"

local M = {}

--- Whether a node of the cluster is to have an image: the control plane's only masters have,
-- etcd's none, since it is a service.
-- @param host host
-- @param name string: the image
-- @return boolean
function M.is_for(host, name)
  return survey.is_for(host, name)
end

--- The images that a node has, by their names.
-- @param host host
-- @return list of { node, runtime, image, id }, sorted by name
function M.stock(host)
  return survey.stock(host)
end

--- What a node asks its runtime for, and whether it is there: what kubeadm will run, what the
-- cluster's bundle has for this node, the runtime's own image for pods, the static pods on the
-- node, and what else is named. Without the variable `cluster` the first two are not known.
-- @param host host
-- @param others list of { image, by }: asked for by manifests
-- @return list of { node, runtime, image, by (list of strings), state ("there", "missing",
-- "another": the name stands for another image than the bundle's), id (of what is there), wanted
-- (the bundle's id) }
function M.survey(host, others)
  return survey.survey(host, others)
end

--- Images that a host's runtime has, under their names.
-- An image is there when the runtime has one of the same id, the digest of its configuration; a
-- name that is missing or stands for another image is then given to it. For images that are not
-- there one stream carries the layers that the host lacks, shared ones once, and no file is written
-- on the way. Layers that lie among the host's blobs of the bundle do not travel at all. An
-- archive that is not whole is refused before anything is sent. What a failed import has half
-- recorded is removed again.
-- @param names list: which ones; absent: all there are
-- @param archive list: archives of `docker save` or OCI layouts on the operator's machine, as tar,
-- tar.gz or tar.zst: in files/ beside the playbook, beside it, or absolute
-- @param bundle path: a bundle on the operator's machine
-- @param runtime string: docker or containerd (namespace k8s.io); absent: docker where its service
-- runs, else containerd
-- @param platform string: what the host is; of archives for several platforms, the images for it
M.loaded = kb.op {
  name = "images.loaded",
  args = { { "names", "list", "which ones; absent: all there are", at = 1, default = {} },
    { "archive", "list", "archives on the operator's machine", default = {}, file = "files" },
    { "bundle", "path", "a bundle on the operator's machine" },
    { "runtime", { "docker", "containerd" }, "who is to have them" },
    { "platform", "string", "what the host is", default = "linux/amd64" } },
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
  evidence = function()
    return { "df -h /var/lib/docker /var/lib/containerd 2>/dev/null", evidence.runtime() }
  end,
}

return M
