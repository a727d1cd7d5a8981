-- The options of the ssh program as inventories carry them in
-- ansible_ssh_common_args and ProxyCommand: those that say how to reach a host
-- become settings, those that only tune OpenSSH are passed over, and others
-- are errors, because what they ask for would not happen.
local M = {}

-- Tuning of OpenSSH's own machinery, or what is so here anyway.
local harmless = {}
for name in ([[controlmaster controlpersist controlpath serveraliveinterval serveralivecountmax
  tcpkeepalive compression loglevel batchmode gssapiauthentication gssapidelegatecredentials
  forwardagent forwardx11 addkeystoagent hashknownhosts preferredauthentications
  passwordauthentication pubkeyauthentication kbdinteractiveauthentication
  numberofpasswordprompts visualhostkey checkhostip updatehostkeys requesttty connectionattempts
  canonicalizehostname exitonforwardfailure ipqos sendenv permitlocalcommand clearallforwardings
  ]]):gmatch "%S+" do
  harmless[name] = true
end

-- Letters of ssh that take a value, and those that do not.
local with_value = "BbcDEeFIiJLlmOopQRSWw"
local without_value = "46AaCfGgKkMNnqsTtVvXxYy"

--- Split a command line into words as a shell would: quotes and backslashes.
-- @param text string
-- @return list of strings; or nil when a quote has no end
function M.words(text)
  local words, word, quote = {}, nil, nil
  local at = 1
  while at <= #text do
    local char = text:sub(at, at)
    if quote and char == quote then
      quote = nil
    elseif not quote and (char == "'" or char == '"') then
      quote, word = char, word or ""
    elseif char == "\\" and quote ~= "'" then
      at = at + 1
      word = (word or "") .. text:sub(at, at)
    elseif not quote and char:find "%s" then
      words[#words + 1], word = word, nil
    else
      word = (word or "") .. char
    end
    at = at + 1
  end
  if quote then return nil end
  words[#words + 1] = word
  return words
end

--- Read a hop: `[user@]host[:port]` or `ssh://[user@]host[:port]`.
-- @param text string
-- @return table `{ host =, user =, port = }`, or nil when it is none
function M.hop(text)
  local rest = text:gsub("^ssh://", ""):gsub("/$", "")
  local user, address = rest:match "^([^@]*)@(.+)$"
  address = address or rest
  local host, port = address:match "^%[(.-)%]:?(%d*)$"
  if not host then host, port = address:match "^([^:]+):(%d+)$" end
  if not host then host, port = address, "" end
  if host == "" or host:find "[%s/%[%]]" or user == "" then return nil end
  return { host = host, user = user, port = math.tointeger(tonumber(port)) }
end

--- Read a list of hops as ProxyJump has it: `first,second`, or `none`.
-- @param text string
-- @return list of hops; or nil and what is wrong
function M.hops(text)
  local hops = {}
  if text == "none" then return hops end
  for part in text:gmatch "[^,]+" do
    local hop = M.hop(part:match "^%s*(.-)%s*$")
    if not hop then return nil, ("%q is no [user@]host[:port]"):format(part) end
    hops[#hops + 1] = hop
  end
  return hops
end

local function whole(settings, key, value)
  settings[key] = math.tointeger(tonumber(value))
  return settings[key] ~= nil or nil, ("%s is %q, which is no whole number"):format(key, value)
end

local function yes(value) return value == "yes" or value == "true" end

-- OpenSSH without checks accepts unknown keys; a changed one stays an error.
local function policy(settings, value)
  local policies = { yes = "strict", ask = "strict", no = "accept-new", off = "accept-new",
    ["accept-new"] = "accept-new" }
  settings.host_key_policy = policies[value]
  return settings.host_key_policy ~= nil or nil,
    ("StrictHostKeyChecking is %q"):format(value)
end

local function jump(settings, value)
  local problem
  settings.jump, problem = M.hops(value)
  return settings.jump ~= nil or nil, problem
end

local function proxy_command(settings, value)
  if value == "none" then
    settings.jump = {}
    return true
  end
  local hop, problem = M.proxy_command(value)
  if not hop then return nil, problem end
  settings.jump = { hop }
  return true
end

local function add_key(settings, value)
  settings.keys = settings.keys or {}
  table.insert(settings.keys, value)
  return true
end

local keywords = {
  proxyjump = jump,
  proxycommand = proxy_command,
  identityfile = add_key,
  stricthostkeychecking = policy,
  port = function(settings, value) return whole(settings, "port", value) end,
  connecttimeout = function(settings, value) return whole(settings, "connect_timeout", value) end,
  user = function(settings, value)
    settings.user = value
    return true
  end,
  hostname = function(settings, value)
    settings.address = value
    return true
  end,
  identitiesonly = function(settings, value)
    settings.identities_only = yes(value)
    return true
  end,
  identityagent = function(settings, value)
    settings.agent = value ~= "none" and value
    return true
  end,
  userknownhostsfile = function(settings, value)
    settings.known_hosts = {}
    for path in value:gmatch "%S+" do
      table.insert(settings.known_hosts, path == "none" and "/dev/null" or path)
    end
    return true
  end,
}

local function keyword(settings, text)
  local name, value = text:match "^%s*(%w+)%s*=%s*(.-)%s*$"
  if not name then name, value = text:match "^%s*(%w+)%s+(.-)%s*$" end
  if not name then return nil, ("-o %s is not of the form Name=value"):format(text) end
  value = value:match '^"(.*)"$' or value
  local read = keywords[name:lower()]
  if read then
    local ok, problem = read(settings, value)
    return ok, problem and ("%s: %s"):format(name, problem)
  end
  if harmless[name:lower()] then return true end
  return nil, ("ssh's option %s is not supported; connection: openssh uses ssh itself"):format(name)
end

local letters = {
  J = jump, i = add_key, o = keyword,
  p = keywords.port, l = keywords.user,
  W = function(settings, value)
    settings.forward = value
    return true
  end,
}

--- Read options of ssh.
-- @param words list of strings
-- @param settings table: gets address, port, user, keys, identities_only,
--   agent, known_hosts, host_key_policy, connect_timeout, jump (list of hops)
-- @return list of the words that are no options; or nil and what is wrong
function M.read(words, settings)
  local rest, at = {}, 1
  while words[at] do
    local letter, value = words[at]:match "^%-(%a)(.*)$"
    letter = letter or words[at]:match "^%-([46])"
    if not letter then
      rest[#rest + 1] = words[at]
    elseif with_value:find(letter, 1, true) then
      if value == "" then
        at = at + 1
        value = words[at]
      end
      if not value then return nil, ("-%s has no value"):format(letter) end
      if not letters[letter] then
        return nil, ("ssh's option -%s is not supported; connection: openssh uses ssh itself")
          :format(letter)
      end
      local ok, problem = letters[letter](settings, value)
      if not ok then return nil, problem end
    elseif not without_value:find(letter, 1, true) then
      return nil, ("ssh has no option -%s"):format(letter)
    end
    at = at + 1
  end
  return rest
end

--- Read a ProxyCommand that is a jump: `ssh -W %h:%p [options] [user@]host`, or
-- `ssh host nc %h %p`.
-- @param text string
-- @return table: a hop, with what else the command says (keys, jump, ...); or
--   nil and what is wrong
function M.proxy_command(text)
  local words = M.words(text)
  if words and words[1] == "exec" then table.remove(words, 1) end
  local program = words and words[1] or ""
  local other = ("the command %q is no jump that is understood (ssh -W %%h:%%p host); "
    .. "connection: openssh uses ssh itself"):format(text)
  if not program:find "^ssh$" and not program:find "/ssh$" then return nil, other end
  local settings = {}
  local rest, problem = M.read(table.move(words, 2, #words, 1, {}), settings)
  if not rest then return nil, problem end
  local netcat = (rest[2] == "nc" or rest[2] == "netcat") and rest[#rest] == "%p"
    and rest[#rest - 1] == "%h"
  if not rest[1] or not (netcat or settings.forward and #rest == 1) then return nil, other end
  local hop = M.hop(rest[1])
  if not hop then return nil, other end
  settings.host, settings.forward = hop.host, nil
  settings.user, settings.port = hop.user or settings.user, hop.port or settings.port
  return settings
end

return M
