--- Certificates: a store on the operator's machine, and what hosts get of it.
-- Keys are made on the operator's machine. The keys of authorities stay there, except those that
-- kubeadm itself must have.

local kb = require "kb"
local pki = require "kb.pki"

local M = {}

-- What a dry run would issue: store directory -> name -> true. Its text is not known yet.
local pending = {}

local function changes(store_dir, declaration, write)
  local store, message = pki.store(store_dir, { write = write })
  local items
  if store then
    items, message = pki.apply(store, declaration)
  end
  if not items then
    kb.refuse(message)
  end
  local changed = {}
  for _, item in ipairs(items) do
    if item.changed then
      changed[#changed + 1] = item
    end
  end
  return changed, #items
end

local function lines(changed)
  local list = {}
  for i, item in ipairs(changed) do
    list[i] = ("+%s: %s"):format(item.name, item.outcome)
  end
  return table.concat(list, "\n")
end

--- A store on the operator's machine that holds what a declaration asks for.
-- Issued are those certificates that are not there, whose request changed, or that end within 30
-- days; an authority is never replaced silently.
-- @param store path: the directory of the store
-- @param declaration map: authorities, certificates, key_pairs, kubeconfigs, kubeadm; see kb.pki
M.store = kb.op {
  name = "pki.store",
  args = { { "store", "path", "the directory of the store", at = 1, required = true },
    { "declaration", "map", "what it is to hold", required = true } },
  plan = function(args)
    local changed, total = changes(args.store, args.declaration, false)
    pending[args.store] = {}
    for _, item in ipairs(changed) do
      pending[args.store][item.name] = true
    end
    if #changed == 0 then
      return nil, ("all %d are there and valid"):format(total)
    end
    return { title = ("issue %d of %d certificates and keys"):format(#changed, total),
      diff = lines(changed),
      effect = {}, -- the store is a directory here
      actions = { { call = function()
        changes(args.store, args.declaration, true)
        pending[args.store] = {}
        return true
      end } } }
  end,
}

--- The text of a file of a store; keys and kubeconfigs are secrets.
-- @param store string: the directory of the store
-- @param name string: "etcd-ca"
-- @param suffix string: ".crt", ".key", ".pub" or ".conf"
-- @return string, secret, or in a dry run an unknown
function M.text(store, name, suffix)
  if (pending[store] or {})[name] then
    return kb.unknown("known after certificates are issued: " .. name .. suffix)
  end
  local text = kb.read_file(("%s/%s%s"):format(store, name, suffix))
  return (suffix == ".key" or suffix == ".conf") and kb.secret(text) or text
end

--- The hash of an authority's public key, for `kubeadm join --discovery-token-ca-cert-hash`.
-- @param store string: the directory of the store
-- @param name string: the authority
-- @return string "sha256:…", or in a dry run an unknown
function M.ca_hash(store, name)
  local text = M.text(store, name, ".crt")
  if kb.is_unknown(text) then
    return text
  end
  local hash, message = pki.ca_hash(text)
  return hash or kb.refuse(message)
end

return M
