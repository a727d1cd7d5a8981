--- Certificates that sign nothing (see kb.pki.store).
local core = require "kb.core.pki"
local profile = require "kb.pki.profile"
local spec_of = require "kb.pki.spec"
local want = require "kb.pki.want"

local M = {}

local DAY = 86400

local known = { "name", "issuer", "subject", "hosts", "profile", "expiry", "key", "renew_days",
  "read_by", "keep_key" }
local known_of_request = { "name", "issuer", "subject", "hosts", "profile", "expiry", "request",
  "renew_days" }

-- The seconds before its end at which a certificate is issued anew; a third of a short life.
local function renewal(store, spec, seconds)
  local days = spec.renew_days
  if not days then
    return math.min(store.renew_days * DAY, seconds // 3)
  end
  if days * DAY >= seconds then
    return nil, ("renew_days %d is not less than the lifetime of %s: it would be reissued in every"
      .. " run"):format(days, spec_of.lifetime(seconds))
  end
  return days * DAY
end

local function find_profile(store, spec)
  local form, message = profile.find(spec.profile or "default", store.profiles)
  if not form then
    return nil, message
  end
  if form.ca then
    return nil, "its profile makes authorities; declare it as one"
  end
  if spec.expiry then
    form.seconds, message = profile.seconds(spec.expiry)
    if not form.seconds then
      return nil, "expiry: " .. message
    end
  end
  return form
end

-- What is asked for: {wanted, issuer, renew}, or nil, message, code.
local function resolve(store, spec, key_type)
  local issuer, message, code = store:issuer(spec.issuer)
  if not issuer then
    return spec_of.refuse(spec.name, message, code)
  end
  local form, wanted, renew
  form, message = find_profile(store, spec)
  if form then
    wanted, message = want.make(spec.subject or {}, spec.hosts, form, key_type)
  end
  if wanted then
    renew, message = renewal(store, spec, wanted.seconds)
  end
  if not renew then
    return spec_of.refuse(spec.name, message)
  end
  return { wanted = wanted, issuer = issuer, renew = renew }
end

local function key_faults(item)
  if not item.key then
    return { "its key is missing" }
  end
  return item.certificate:matches(item.key) and {} or { "its key is another's" }
end

-- A certificate that ends with its issuer cannot be made to live longer.
local function time_faults(store, item, asked)
  local reasons, fields = {}, item.fields
  local capped = fields.not_after == asked.issuer.fields.not_after
  local left = fields.not_after - store.now()
  if left < asked.renew and not capped then
    reasons[1] = left < 0 and "it has ended" or ("%d days left"):format(left // DAY)
  end
  local lifetime = fields.not_after - fields.not_before
  if lifetime ~= asked.wanted.seconds and not (capped and lifetime < asked.wanted.seconds) then
    reasons[#reasons + 1] = ("lifetime %s became %s"):format(spec_of.lifetime(lifetime),
      spec_of.lifetime(asked.wanted.seconds))
  end
  return reasons
end

-- All reasons not to keep what is there.
local function reasons_to_issue(store, item, asked, key_reasons)
  if not item then
    return { "new" }
  end
  local reasons = want.differences(asked.wanted, item.fields)
  local function add(list)
    table.move(list, 1, #list, #reasons + 1, reasons)
  end
  add(key_reasons)
  if not item.certificate:signed_by(asked.issuer.certificate) then
    add { "issuer became " .. asked.issuer.name }
  end
  add(time_faults(store, item, asked))
  return reasons
end

local function reusable_key(item, spec, key_type)
  local key = spec.keep_key and item and item.key
  if key and key:type() == key_type and item.certificate:matches(key) then
    return key
  end
end

--- Decide about a certificate, given what is there; nothing is written.
-- @param store store
-- @param spec table: as for Store:leaf
-- @param load function: returns {item = what is there or nil}; or nil, message, code
-- @return item, outcome ("kept", "issued", "reissued"), reasons; or nil, message, code
function M.decide(store, spec, load)
  local ok, message, code = spec_of.check(spec, known)
  if not ok then
    return nil, message, code
  end
  local key_type = spec.key or "ecdsa-p256"
  ok, message = spec_of.check_reader(spec, key_type)
  if not ok then
    return spec_of.refuse(spec.name, message)
  end
  local asked, found, new
  asked, message, code = resolve(store, spec, key_type)
  if asked then
    found, message, code = load()
  end
  if not found then
    return nil, message, code
  end
  local item = found.item
  local reasons = reasons_to_issue(store, item, asked, item and key_faults(item))
  if #reasons == 0 then
    return item, "kept", reasons
  end
  new, message, code = store:issue(spec.name, asked.wanted, asked.issuer,
    reusable_key(item, spec, key_type))
  if not new then
    return nil, message, code
  end
  return new, item and "reissued" or "issued", reasons
end

--- See Store:leaf.
function M.ensure(store, spec)
  local item, outcome, reasons = M.decide(store, spec, function()
    return store:load(spec.name)
  end)
  if not item then
    return nil, outcome, reasons
  end
  return store:keep(item, outcome, reasons)
end

--- See Store:sign.
function M.sign(store, spec)
  local ok, message, code = spec_of.check(spec, known_of_request)
  if not ok then
    return nil, message, code
  end
  local request, asked, found, certificate
  request, message, code = core.read_request(spec.request or "")
  if not request then
    return spec_of.refuse(spec.name, message, code)
  end
  asked, message, code = resolve(store, spec, request:fields().key_type)
  if asked then
    found, message, code = store:load(spec.name)
  end
  if not found then
    return nil, message, code
  end
  local item = found.item
  local another = item and item.certificate:hash() ~= request:hash()
  local reasons = reasons_to_issue(store, item, asked,
    another and { "the request is for another key" } or {})
  if #reasons == 0 then
    return store:keep(item, "kept", {})
  end
  certificate, message, code = store:sign_wanted(asked.wanted, request, asked.issuer)
  if not certificate then
    return spec_of.refuse(spec.name, message, code)
  end
  return store:keep(store:item(spec.name, certificate, nil, store:between(asked.issuer)),
    item and "reissued" or "issued", reasons)
end

return M
