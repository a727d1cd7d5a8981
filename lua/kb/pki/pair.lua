--- Pairs of keys without a certificate (see kb.pki.store).
local core = require "kb.core.pki"
local files = require "kb.pki.files"
local spec_of = require "kb.pki.spec"

local M = {}

local function write(store, pair)
  local ok, message, code = true, nil, nil
  if pair.outcome ~= "kept" then
    ok, message, code = store:write(pair.key_path, pair.key:pem())
  end
  local public = pair.key:public_pem()
  if ok and files.read(pair.public_path) ~= public then
    if pair.outcome == "kept" then
      pair.outcome = "reissued: its public half was not its own"
    end
    ok, message, code = store:write(pair.public_path, public)
  end
  return ok, message, code
end

local function wrong_type(pair, wanted)
  return spec_of.refuse(pair.name, ("it is %s and %s is asked for; what it has signed would be"
    .. " void. Move %s away to have a new one"):format(pair.key:type(), wanted, pair.key_path))
end

--- See Store:key_pair.
function M.ensure(store, spec)
  local ok, message, code = spec_of.check(spec, { "name", "key", "read_by" })
  if not ok then
    return nil, message, code
  end
  local key_type = spec.key or "ecdsa-p256"
  ok, message = spec_of.check_reader(spec, key_type)
  if not ok then
    return spec_of.refuse(spec.name, message)
  end
  local pair = { name = spec.name, key_path = store:path(spec.name, ".key"),
    public_path = store:path(spec.name, ".pub"), outcome = "kept" }
  pair.key, message, code = files.key(pair.key_path)
  pair.key = store.pairs[spec.name] and store.pairs[spec.name].key or pair.key
  if not pair.key and not message then
    pair.outcome = "issued: new"
    pair.key, message, code = core.generate(key_type)
  end
  if not pair.key then
    return spec_of.refuse(spec.name, message, code)
  elseif pair.key:type() ~= key_type then
    return wrong_type(pair, key_type)
  end
  ok, message, code = write(store, pair)
  if not ok then
    return nil, message, code
  end
  pair.changed = pair.outcome ~= "kept"
  store.pairs[spec.name] = pair
  return pair
end

return M
