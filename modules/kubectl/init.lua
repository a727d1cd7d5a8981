--- The objects of a cluster, through kubectl on a host that has a kubeconfig.

local files = require "modules.files"
local kb = require "kb"
local manifest = require "modules.kubectl.manifest"

local M = {}

--- Manifests as data; see modules/kubectl/manifest.lua.
M.manifest = manifest

local ADMIN = "/etc/kubernetes/admin.conf"
local DIR = "/var/lib/kbrun/manifests"

local function command_of(args)
  return ("kubectl --kubeconfig %s apply %s-f %s"):format(kb.quote(args.kubeconfig),
    args.server_side and "--server-side --force-conflicts --field-manager=kbrun " or "",
    kb.quote(args.path))
end

--- The objects of a manifest are in the cluster as it says.
-- What differs is found by `kubectl diff`, and shown; without a difference nothing is applied. In
-- a dry run a manifest that is only going to be written counts as different.
-- @param path path: the manifest on the host
-- @param sha256 string: the digest of the manifest that is meant
-- @param kubeconfig path: the kubeconfig on the host
-- @param server_side boolean: applied by the server (from Kubernetes 1.22), as large objects need
-- @param brings_kinds boolean: the manifest defines resources of its own, so that the cluster need
-- not know them yet
M.applied = kb.op {
  name = "kubectl.applied",
  args = { { "path", "path", "the manifest on the host", at = 1, required = true },
    { "sha256", "string", "the digest of the manifest that is meant", required = true },
    { "kubeconfig", "path", "the kubeconfig on the host", default = ADMIN },
    { "server_side", "boolean", "applied by the server", default = false },
    { "brings_kinds", "boolean", "it defines resources of its own", default = false } },
  plan = function(args, fact)
    if not args.sha256:find("^%x+$") or #args.sha256 ~= 64 then
      kb.refuse(("the digest %q is not 64 hexadecimal digits"):format(args.sha256))
    end
    local question = { "kubectl.difference", args.path, args.sha256, args.kubeconfig,
      args.server_side }
    local now = fact(table.unpack(question))
    if now.state == "same" then
      return nil, "the cluster has it as asked"
    elseif now.state == "unknown kind" and not args.brings_kinds then
      kb.refuse("the cluster does not know a resource of " .. args.path .. ": " .. now.text,
        "apply what defines it first (a CustomResourceDefinition)")
    elseif now.state == "unreachable" or now.state == "refused" then
      kb.refuse(("%s cannot be compared: %s"):format(args.path, now.text))
    end
    question[#question + 1] = { state = "same", text = "" }
    return { title = "apply " .. args.path, diff = now.text ~= "" and now.text or nil,
      actions = { { run = command_of(args), fails = "kubectl apply failed" } },
      effect = { question } }
  end,
}

--- Bring the objects of a manifest into the cluster: the text goes to a file of the host, and what
-- differs is applied.
-- @param host host: one with kubectl and a kubeconfig
-- @param given table: name (of the file), text, server_side, kubeconfig, brings_kinds
-- @return result
function M.manifest_applied(host, given)
  local path = ("%s/%s"):format(DIR, given.name)
  files.directory(host, { DIR, mode = "0700" })
  files.file(host, { path, content = given.text, mode = "0600" })
  return M.applied(host, { path, sha256 = kb.digest(given.text), kubeconfig = given.kubeconfig,
    server_side = given.server_side, brings_kinds = given.brings_kinds })
end

local function condition(object, name)
  for _, entry in ipairs((object.status or {}).conditions or {}) do
    if entry.type == name then
      return entry.status == "True"
    end
  end
  return false
end

-- Whether an object is what it is to become, by its kind.
local function ready(object)
  local spec, status = object.spec or {}, object.status or {}
  if (status.observedGeneration or 0) < ((object.metadata or {}).generation or 0) then
    return false
  elseif object.kind == "DaemonSet" then
    return (status.desiredNumberScheduled or 0) > 0
      and status.numberReady == status.desiredNumberScheduled
      and status.updatedNumberScheduled == status.desiredNumberScheduled
  elseif object.kind == "Deployment" or object.kind == "StatefulSet" then
    return (status.readyReplicas or 0) == (spec.replicas or 1)
      and (status.updatedReplicas or 0) == (spec.replicas or 1)
  elseif object.kind == "CustomResourceDefinition" then
    return condition(object, "Established")
  end
  return condition(object, "Ready")
end

--- Whether an object is ready, by what its kind means by that: a Deployment's and a StatefulSet's
-- replicas, a DaemonSet's pods on all nodes, a definition that is established, else the condition
-- Ready.
-- @param object table, as the fact kubectl.get gives it, or false
-- @return boolean
function M.is_ready(object)
  return object and ready(object) or false
end

--- The gate: an object is ready.
-- @param host host: one with kubectl and a kubeconfig
-- @param given table: kind, name, namespace, kubeconfig, within
function M.gate(host, given)
  local kubeconfig, namespace = given.kubeconfig or ADMIN, given.namespace or ""
  local words = kb.words { "--kubeconfig", kubeconfig,
    namespace ~= "" and "--namespace=" .. namespace or nil }
  kb.gate(host, { ("%s %s is ready"):format(given.kind, given.name), within = given.within or 180,
    fact = { "kubectl.get", kubeconfig, given.kind, given.name, namespace },
    holds = M.is_ready,
    evidence = { ("kubectl %s describe %s %s | tail -30"):format(words, given.kind, given.name),
      ("kubectl %s get pods -o wide"):format(words) } })
end

return M
