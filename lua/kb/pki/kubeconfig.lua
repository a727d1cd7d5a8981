--- kubeconfig files with the certificates embedded.
local core = require "kb.core.pki"
local crypto = require "kb.core.crypto"
local files = require "kb.pki.files"
local leaf = require "kb.pki.leaf"
local spec_of = require "kb.pki.spec"

local M = {}

-- JSON's quoting is YAML's too.
local function quoted(text)
  return '"' .. text:gsub('[%c"\\\x7f]', function(c)
    return ("\\u%04x"):format(c:byte())
  end) .. '"'
end

--- The text of a kubeconfig, laid out as kubeadm lays it out.
-- @param config table: cluster (name), server (URL), user (name), ca (PEM), certificate (PEM),
--   key (PEM)
-- @return string: YAML
function M.text(config)
  local function data(pem)
    return crypto.base64_encode(pem)
  end
  local context = config.user .. "@" .. config.cluster
  return table.concat({
    "apiVersion: v1",
    "kind: Config",
    "clusters:",
    "- name: " .. quoted(config.cluster),
    "  cluster:",
    "    certificate-authority-data: " .. data(config.ca),
    "    server: " .. quoted(config.server),
    "contexts:",
    "- name: " .. quoted(context),
    "  context:",
    "    cluster: " .. quoted(config.cluster),
    "    user: " .. quoted(config.user),
    "current-context: " .. quoted(context),
    "preferences: {}",
    "users:",
    "- name: " .. quoted(config.user),
    "  user:",
    "    client-certificate-data: " .. data(config.certificate),
    "    client-key-data: " .. data(config.key),
    "",
  }, "\n")
end

--- What is embedded in a kubeconfig of one user.
-- @param text string
-- @return table: ca, certificate, key (PEM), each absent when it is not embedded
function M.embedded(text)
  local function data(field)
    local found = text:match("\n%s*" .. field .. ":%s*\"?([%w+/=]+)")
    return found and crypto.base64_decode(found) or nil
  end
  return { ca = data("certificate%-authority%-data"),
    certificate = data("client%-certificate%-data"), key = data("client%-key%-data") }
end

local known = { "name", "cluster", "server", "user", "issuer", "subject", "profile", "expiry",
  "key", "renew_days", "read_by" }

-- What the kubeconfig holds as an item, so that it is judged as any other certificate is.
local function item_of(store, name, text)
  local inside = M.embedded(text)
  local list = inside.certificate and core.certificates(inside.certificate)
  if not list then
    return nil
  end
  local key = inside.key and core.read_key(inside.key) or nil
  return store:item(name, list[1], key, table.move(list, 2, #list, 1, {}))
end

local function leaf_of(spec)
  local asked = {}
  for _, field in ipairs({ "name", "issuer", "subject", "profile", "expiry", "key", "renew_days",
    "read_by" }) do
    asked[field] = spec[field]
  end
  asked.profile = asked.profile or "client"
  asked.subject = asked.subject or spec.user
  return asked
end

local function missing_field(spec)
  for _, field in ipairs({ "cluster", "server", "user" }) do
    if type(spec[field]) ~= "string" then
      return field
    end
  end
end

local function check(spec)
  local ok, message, code = spec_of.check(spec, known)
  if not ok then
    return nil, message, code
  end
  local missing = missing_field(spec)
  if missing then
    return spec_of.refuse(spec.name, "a kubeconfig needs " .. missing)
  end
  return true
end

local function text_of(store, spec, item)
  return M.text { cluster = spec.cluster, server = spec.server, user = spec.user,
    ca = store:get(spec.issuer).certificate:pem(), certificate = item:chain(),
    key = item.key:pem() }
end

--- See Store:kubeconfig.
function M.ensure(store, spec)
  local ok, message, code = check(spec)
  if not ok then
    return nil, message, code
  end
  local path = store:path(spec.name, ".conf")
  local old
  old, message, code = files.read(path)
  if message then
    return nil, message, code
  end
  local item, outcome, reasons = leaf.decide(store, leaf_of(spec), function()
    return { item = old and item_of(store, spec.name, old) }
  end)
  if not item then
    return nil, outcome, reasons
  end
  local text = text_of(store, spec, item)
  if outcome == "kept" and text ~= old then
    outcome, reasons = "rewritten", { "its server, names or authority changed" }
  end
  if outcome ~= "kept" then
    ok, message, code = store:write(path, text)
    if not ok then
      return nil, message, code
    end
  end
  return { name = spec.name, path = path, text = text, changed = outcome ~= "kept",
    outcome = spec_of.outcome(outcome, reasons) }
end

return M
