--- Kubeconfigs as data: another server, and one merged into another.

local data = require "kb.data"
local kb = require "kb"
local yaml = require "kb.yaml"

local M = {}

local sections = { "clusters", "contexts", "users" }

--- Read a kubeconfig.
-- @param text string; "" is an empty one
-- @param name string: for errors
-- @return map
-- @raise kb.err of kind failed
function M.read(text, name)
  local config, message = yaml.load(text, { name = name, version = "1.1" })
  if config == nil then
    kb.refuse(message, "mend the file, or move it away")
  end
  if config == data.null then
    config = data.map { { "apiVersion", "v1" }, { "kind", "Config" } }
  end
  if data.kind(config) ~= "map" or config.kind ~= nil and config.kind ~= "Config" then
    kb.refuse(name .. " is no kubeconfig", "move it away")
  end
  for _, section in ipairs(sections) do
    if data.kind(config[section]) ~= "list" then
      config[section] = data.list()
    end
  end
  return config
end

--- The text of a kubeconfig.
-- @param config map
-- @return string
function M.text(config)
  return yaml.dump(config)
end

-- What a kubeconfig may name instead of holding it.
local references = { "certificate-authority", "client-certificate", "client-key", "tokenFile" }

--- Check that a kubeconfig holds all that it needs, so that it is of use on another machine.
-- @param config map
-- @param name string: for errors
-- @return map: config
-- @raise kb.err of kind failed: it names a file of its own machine
function M.portable(config, name)
  for _, section in ipairs { "clusters", "users" } do
    for _, entry in ipairs(config[section]) do
      local fields = entry[section == "clusters" and "cluster" or "user"] or {}
      for _, field in ipairs(references) do
        if fields[field] and not fields[field .. "-data"] then
          kb.refuse(("%s names a file of its machine (%s: %s): it is of no use elsewhere"):format(
            name, field, tostring(fields[field])), "kubectl config view --flatten --raw puts the "
            .. "files' content into it")
        end
      end
    end
  end
  return config
end

--- A kubeconfig whose clusters are reached elsewhere; their certificates stay.
-- @param text string
-- @param server string: "https://a0.example.org:6443"
-- @return string
function M.with_server(text, server)
  local config = M.read(text, "the kubeconfig")
  for _, entry in ipairs(config.clusters) do
    entry.cluster.server = server
  end
  return M.text(config)
end

local function entry_named(list, name)
  for i, entry in ipairs(list) do
    if entry.name == name then
      return entry, i
    end
  end
end

-- A cluster of the same name and another authority is another cluster.
local function check_cluster(own, other, path)
  local function authority(entry)
    local cluster = entry.cluster or {}
    return cluster["certificate-authority-data"] or cluster["certificate-authority"]
  end
  if own and authority(own) ~= authority(other) then
    kb.refuse(("%s has another cluster that is called %s (at %s)"):format(path, own.name,
      tostring((own.cluster or {}).server)), "give this one another name (cluster.name), or say "
      .. "replace = true")
  end
end

--- One kubeconfig in another: entries of the same names are replaced, all others stay as they are.
-- @param into map: what is there; it is changed
-- @param from map: what is added
-- @param options table: path (for errors), replace (boolean: also a cluster of the same name with
-- another authority), current (boolean: it becomes the current context, which else it does only
-- when there is none)
-- @return map: into
-- @raise kb.err of kind failed
function M.merge(into, from, options)
  for _, entry in ipairs(options.replace and {} or from.clusters) do
    check_cluster(entry_named(into.clusters, entry.name), entry, options.path)
  end
  for _, section in ipairs(sections) do
    for _, entry in ipairs(from[section]) do
      local _, at = entry_named(into[section], entry.name)
      into[section][at or #into[section] + 1] = entry
    end
  end
  local current = into["current-context"]
  if options.current or current == nil or current == "" or current == data.null then
    into["current-context"] = from["current-context"]
  end
  return into
end

return M
