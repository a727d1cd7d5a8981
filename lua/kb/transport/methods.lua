--- Why a server and this libssh2 have no method in common.
local ssh = require "kb.core.ssh"

local M = {}

local KEXINIT = 20

-- The lists of a server's offer in their order; those of the other direction
-- are the same in practice.
local LISTS = { "kex", "host_key", "cipher", "cipher_back", "mac" }
local WORDS = {
  kex = "key exchange",
  host_key = "host key",
  cipher = "encryption",
  mac = "integrity (MAC)",
}

-- Ciphers that bring their own integrity; the MAC list does not matter to them.
local AEAD = { ["chacha20-poly1305@openssh.com"] = true, ["aes128-gcm@openssh.com"] = true,
  ["aes256-gcm@openssh.com"] = true }

local function set_of(list)
  local set = {}
  for _, name in ipairs(list) do
    set[name] = true
  end
  return set
end

local sets = {}

-- What libssh2 has of a kind, as a set.
local function supported(kind)
  sets[kind] = sets[kind] or set_of(ssh.supported(kind))
  return sets[kind]
end

--- Those of some methods that libssh2 has: it must not be given others.
-- @param kind string: "kex", "host_key", "cipher" or "mac"
-- @param names list of strings: the best first
-- @return string: comma list
function M.among(kind, names)
  local list = {}
  for _, name in ipairs(names) do
    if supported(kind)[name] then
      list[#list + 1] = name
    end
  end
  return table.concat(list, ",")
end

local function parse(first)
  local _, after = ("\n" .. first):find "\nSSH%-[^\n]*\n"
  if not after then
    return nil
  end
  local at = after -- one less for the newline put in front, one more to go on
  local _, padding, kind = string.unpack(">I4BB", first, at)
  if kind ~= KEXINIT or padding < 4 then
    return nil
  end
  at = at + 6 + 16 -- the cookie
  local offer = {}
  for _, name in ipairs(LISTS) do
    local text
    text, at = string.unpack(">s4", first, at)
    offer[name] = {}
    for method in text:gmatch "[^,]+" do
      table.insert(offer[name], method)
    end
  end
  return offer
end

local function common(ours, theirs)
  for _, method in ipairs(theirs) do
    if ours[method] then
      return method
    end
  end
end

--- What is missing, from the first bytes that a server has sent.
-- @param first string: of session:first()
-- @return string: a sentence; or nil when there is nothing to say
function M.explain(first)
  local ok, offer = pcall(parse, first)
  if not ok or not offer then
    return nil
  end
  for _, kind in ipairs { "kex", "host_key", "cipher", "mac" } do
    local cipher = common(supported "cipher", offer.cipher)
    local theirs = offer[kind]
    if not common(supported(kind), theirs) and not (kind == "mac" and AEAD[cipher]) then
      return ("libssh2 %s has none of the server's %s methods (%s)"):format(
        ssh.version(), WORDS[kind], table.concat(theirs, ", "))
    end
  end
end

return M
