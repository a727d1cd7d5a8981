--- What is to be done to a bundle, as it is found out: items that stay, things to fetch, and pins.
local M = {}

local Plan = {}
Plan.__index = Plan

--- Begin.
-- @param dir string: the bundle
-- @param wanted table from kb.bundle.declaration
-- @param repin list of names whose pins are given up
-- @return plan: old and items (by key: as bundle.yaml has them, and as it is to have them), todo
--   (list of {text, bytes, run}), coming (keys of items that are wanted)
function M.new(dir, wanted, repin)
  local set = {}
  for _, name in ipairs(repin) do
    set[name] = true
  end
  return setmetatable({ dir = dir, wanted = wanted, old = {}, items = {}, todo = {}, coming = {},
    repin = set, claims = {} }, Plan)
end

--- Call a function that may refuse.
-- @param fn function
-- @param ... its arguments
-- @return what it returns; or nil and the message with which it refused
function M.refused(fn, ...)
  local ok, result = pcall(fn, ...)
  if ok then
    return result
  elseif type(result) == "table" and result.refusal then
    return nil, result.refusal
  end
  error(result, 0)
end

--- Refuse what cannot or must not be done; `M.refused` takes it up.
-- @param message string: for string.format
-- @param ... what goes into it
-- @raise a table with the message
function M.fail(message, ...)
  error({ refusal = message:format(...) }, 0)
end

--- What makes an item the same one as before, whatever its content: its kind, name and version.
-- @param item table
-- @return string
function M.key(item)
  return table.concat({ item.kind, item.name, item.kind == "image" and "" or item.version or "",
    item.kind == "deb" and item.arch or "" }, "\0")
end

local function digest_of(item)
  return item.kind == "image" and item.id:sub(8) or item.sha256
end

--- An item as people call it.
-- @param item table
-- @return string: "deb kubeadm 1.20.2-00"
function M.show(item)
  local version = item.kind ~= "image" and item.version
  return ("%s %s%s"):format(item.kind, item.name, version and " " .. version or "")
end

local function content_of(claim)
  return claim.digest and ("%s in %s"):format(claim.digest, claim.from) or claim.from
end

--- Take an item for one that comes from a place: it cannot come from another with other content.
-- @param item table: kind, name, version
-- @param digest string or nil: of its content; nil when that is not known before it is fetched
-- @param from string: the place, for people
-- @raise when it does
function Plan:claim(item, digest, from)
  local key, claim = M.key(item), { digest = digest, from = from }
  local other = self.claims[key]
  if other and not (digest and other.digest == digest) then
    M.fail("%s is declared twice: it is %s, and %s; leave one of them out", M.show(item),
      content_of(other), content_of(claim))
  end
  self.claims[key] = claim
end

--- The pinned item of the same kind, name and version, unless the pin was given up.
-- @param item table
-- @return item or nil
function Plan:pinned(item)
  self.coming[M.key(item)] = true
  return not self.repin[item.name] and self.old[M.key(item)] or nil
end

--- What was found must be what is pinned.
-- @param item table
-- @return the pinned item, or nil
-- @raise when it is another one
function Plan:enforce(item)
  local pinned = self:pinned(item)
  if pinned and digest_of(pinned) ~= digest_of(item) then
    M.fail("%s was pinned with sha256 %s, and is now %s: give it another version in the "
      .. "declaration, or accept it with --extra repin=%s", M.show(item), digest_of(pinned),
      digest_of(item), item.name)
  end
  return pinned
end

--- The item is in the bundle, as it was before.
-- @param item table
function Plan:keep(item)
  self.items[M.key(item)] = item
end

--- Something is to be done.
-- @param text string: what
-- @param bytes integer or nil: how much it will be
-- @param fn function(): a list of items; or nil, message, code
function Plan:want(text, bytes, fn)
  self.todo[#self.todo + 1] = { text = text, bytes = bytes, run = fn }
end

return M
