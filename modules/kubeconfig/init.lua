--- kubeconfigs: fetched, pointed at another server, merged into what is there.

local config = require "modules.kubeconfig.config"
local files = require "modules.files"
local kb = require "kb"

local M = {}

local function parent(path)
  return path:match("^(.+)/[^/]+$") or "/"
end

local function same(a, b)
  return config.text(a) == config.text(b)
end

--- A kubeconfig is part of another one: clusters, contexts and users of its names are replaced,
-- all others stay, and so does the current context. What was there is kept beside it, with the
-- time in its name.
-- @param path path: the kubeconfig on the host
-- @param content content: what is to be in it
-- @param current boolean: make its context the current one (else only when there is none)
-- @param replace boolean: also a cluster of the same name with another authority
M.merged = kb.op {
  name = "kubeconfig.merged",
  args = { { "path", "path", "the kubeconfig on the host", at = 1, required = true },
    { "content", "content", "what is to be in it", required = true, unknown = true },
    { "current", "boolean", "make its context the current one", default = false },
    { "replace", "boolean", "also a cluster with another authority", default = false } },
  facts = function(args)
    return { { "file.stat", args.path }, { "file.content", args.path },
      { "file.digest", args.path }, { "file.stat", parent(args.path) }, { "user.self" } }
  end,
  plan = function(args, fact)
    local text, old = args.content, ""
    local there = fact("file.stat", args.path).kind == "file"
    if there then
      old = fact("file.content", args.path) or kb.refuse(args.path .. " is too large")
    end
    if not kb.is_unknown(text) then
      local from, now = config.read(kb.reveal(text), "the kubeconfig"),
        config.read(old, args.path)
      local into = config.merge(config.read(old, args.path), from,
        { path = args.path, current = args.current, replace = args.replace })
      if there and same(into, now) then
        return nil, "it is in there as asked"
      end
      text = kb.secret(config.text(into))
    end
    return kb.sequence(fact, { function(ask)
      return kb.plan(files.directory, ask, { parent(args.path), mode = not there
        and ask("file.stat", parent(args.path)).kind == "absent" and "0700" or nil })
    end, function(ask)
      return kb.plan(files.file, ask, { args.path, content = text, mode = "0600", backup = true })
    end }, ("merge the cluster's kubeconfig into %s"):format(args.path))
  end,
}

--- A kubeconfig fetched from a host, as of a cluster that others have made.
--
--     local admin = kb.on(host, "m0", function(m0)
--       return kubeconfig.fetched(m0, "/etc/kubernetes/admin.conf")
--     end)
--     kubeconfig.merged(host, { "/root/.kube/config", content = kubeconfig.with_server(admin,
--       "https://a0.example.org:6443") })
--
-- @param host host
-- @param path string: the kubeconfig on it
-- @return secret, or in a dry run an unknown
-- @raise kb.err of kind failed: there is none, or it names files of its host
function M.fetched(host, path)
  return kb.after(nil, function()
    local text = host:fact("file.content", path)
    if not text then
      host:fail("there is no kubeconfig " .. path)
    end
    config.portable(config.read(text, path), path)
    return kb.secret(text)
  end)
end

--- A kubeconfig of the cluster's administrator, pointed at another server.
-- @param content string or secret or unknown: the kubeconfig
-- @param server string: "https://a0.example.org:6443"
-- @return secret, or the unknown
function M.with_server(content, server)
  return kb.is_unknown(content) and content
    or kb.secret(config.with_server(kb.reveal(content), server))
end

return M
