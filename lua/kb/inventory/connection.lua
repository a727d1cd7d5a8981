-- From the variables of a host to the settings with which kb.remote reaches it.
local sys = require "kb.core.sys"
local data = require "kb.data"
local secret = require "kb.secret"
local ssh_options = require "kb.inventory.ssh_options"
local tree = require "kb.inventory.tree"

local M = {}

-- What each setting is called: Ansible's names, the first that is set, and
-- ours. Ours are ordinary words, so they count only for hosts that have none of
-- Ansible's; those that Ansible has no name for (`always`) count everywhere.
local names = {
  address = { "ansible_host", "ansible_ssh_host", ours = "address" },
  port = { "ansible_port", "ansible_ssh_port", ours = "port" },
  user = { "ansible_user", "ansible_ssh_user", ours = "user" },
  key = { "ansible_ssh_private_key_file", "ansible_private_key_file", ours = "key" },
  password = { "ansible_password", "ansible_ssh_pass", "ansible_ssh_password", ours = "password" },
  become = { "ansible_become", ours = "become" },
  become_method = { "ansible_become_method" },
  become_user = { "ansible_become_user" },
  become_password = { "ansible_become_password", "ansible_become_pass", "ansible_sudo_pass",
    "ansible_sudo_password", ours = "become_password" },
  transport = { "ansible_connection", ours = "connection" },
  checking = { "ansible_ssh_host_key_checking", "ansible_host_key_checking" },
  timeout = { "ansible_ssh_timeout", "ansible_timeout" },
  jump = { ours = "jump", always = true },
  host_key = { ours = "host_key", always = true },
  host_key_policy = { ours = "host_key_policy", always = true },
}

local argument_names = { "ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args" }

--- The variables whose values are passwords.
M.secrets = {}
for _, setting in ipairs { "password", "become_password" } do
  for _, name in ipairs(names[setting]) do M.secrets[name] = true end
  M.secrets[names[setting].ours] = true
end

local reader = {}
reader.__index = reader

-- Which of Ansible's connection variables the host has, if any. A port does not
-- count: `name:2222` sets it in inventories of either kind.
local function ansible_name(vars)
  for setting, list in pairs(names) do
    for _, name in ipairs(list) do
      if setting ~= "port" and vars[name] ~= nil then return name end
    end
  end
  for _, name in ipairs(argument_names) do
    if vars[name] ~= nil then return name end
  end
end

function reader:fail(variable, format, ...)
  local definition = self.inventory:definition(variable, self.name)
  error({ inventory = tree.at(definition) .. ("%s of %s: "):format(variable, self.name)
    .. format:format(...) }, 0)
end

-- A value that may be a template, rendered.
function reader:render(variable, value)
  if type(value) ~= "string" or not value:find "{[{%%]" then return value end
  local text, message = self.inventory:render(value, self.name)
  if text == nil then self:fail(variable, "%s", message) end
  return text
end

--- The value of a setting and the name of the variable that gave it.
function reader:get(setting)
  for _, variable in ipairs(names[setting]) do
    if self.vars[variable] ~= nil then
      return self:render(variable, self.vars[variable]), variable
    end
  end
  local ours = names[setting].ours
  if not ours or self.vars[ours] == nil then return nil end
  if self.ansible and not names[setting].always then
    self.inventory:ordinary(ours, self.name, self.ansible)
    return nil
  end
  return self:render(ours, self.vars[ours]), ours
end

function reader:text(setting)
  local value, variable = self:get(setting)
  if value == nil or value == data.null then return nil end
  if type(value) ~= "string" and math.type(value) ~= "integer" or value == "" then
    self:fail(variable, "a text is wanted, here is %q", tostring(value))
  end
  return tostring(value), variable
end

function reader:number(setting, least, most)
  local value, variable = self:get(setting)
  if value == nil or value == data.null then return nil end
  local number = math.tointeger(tonumber(value))
  if not number or number < least or number > most then
    self:fail(variable, "a number from %d to %d is wanted, here is %q", least, most,
      tostring(value))
  end
  return number
end

function reader:password(setting)
  local value, variable = self:get(setting)
  if value == nil or value == data.null then return nil end
  if secret.is(value) then return value end
  if type(value) ~= "string" then
    self:fail(variable, "a password is text, here is a %s; quote it", type(value))
  end
  local ok, made = pcall(secret.new, value)
  if not ok then self:fail(variable, "%s", (tostring(made):gsub("^[^ ]*:%d+: ", ""))) end
  return made
end

local words_for = { yes = true, ["true"] = true, on = true, ["1"] = true, y = true,
  no = false, ["false"] = false, off = false, ["0"] = false, n = false }

function reader:boolean(setting)
  local value, variable = self:get(setting)
  if value == nil or type(value) == "boolean" then return value, variable end
  local found = words_for[tostring(value):lower()]
  if found == nil then
    self:fail(variable, "true or false is wanted, here is %q", tostring(value))
  end
  return found, variable
end

local function expand_home(path)
  return (path:gsub("^~/", (sys.getenv "HOME" or "~") .. "/"))
end

-- Texts of a variable that is one text or a list of them.
function reader:texts(setting)
  local value, variable = self:get(setting)
  if value == nil or value == data.null then return nil end
  local list = data.kind(value) == "list" and value or { value }
  local texts = {}
  for _, item in ipairs(list) do
    local text = self:render(variable, item)
    if type(text) ~= "string" then
      self:fail(variable, "text, or a list of texts, is wanted; here is a %s", data.kind(text))
    end
    texts[#texts + 1] = text
  end
  return texts, variable
end

local transports = { ssh = "ssh", smart = "ssh", paramiko = "ssh", paramiko_ssh = "ssh",
  libssh = "ssh", openssh = "openssh", ["local"] = "local" }
transports["ansible.builtin.ssh"], transports["ansible.builtin.local"] = "ssh", "local"

function reader:transport(settings)
  local wanted, variable = self:text("transport")
  settings.transport = transports[wanted or "ssh"]
  if not settings.transport then
    self:fail(variable, "there is no connection %q; there are ssh, openssh and local", wanted)
  end
end

-- Our `become` may name the way; Ansible has a variable of its own for that.
function reader:become(settings)
  local value, variable = self:get("become")
  local way, way_variable = self:text("become_method")
  if value == "sudo" or value == "su" then
    way, value = value, true
  else
    value = self:boolean("become")
  end
  if not value then return end
  settings.become = way or "sudo"
  settings.become = settings.become:gsub("^ansible%.builtin%.", "")
  if settings.become ~= "sudo" and settings.become ~= "su" then
    self:fail(way_variable or variable, "there is no way %q to become root; there are sudo and su",
      way)
  end
  local user, user_variable = self:text("become_user")
  if user and user ~= "root" then
    self:fail(user_variable, "a connection becomes root; %q is for single operations", user)
  end
end

function reader:arguments(settings)
  for _, variable in ipairs(argument_names) do
    local text = self:render(variable, self.vars[variable])
    if text ~= nil and text ~= data.null then
      local words = ssh_options.words(tostring(text))
      if not words then self:fail(variable, "a quote has no end") end
      local rest, problem = ssh_options.read(words, settings)
      if not rest then self:fail(variable, "%s", problem) end
      if rest[1] then self:fail(variable, "%q is no option of ssh", rest[1]) end
      settings.jump_variable = settings.jump and variable
    end
  end
end

function reader:host_keys(settings)
  local checking = self:boolean("checking")
  if checking == false then settings.host_key_policy = "accept-new" end
  settings.host_key = self:texts("host_key")
  local policy, variable = self:text("host_key_policy")
  if policy and policy ~= "strict" and policy ~= "accept-new" then
    self:fail(variable, "there is no policy %q; there are strict and accept-new", policy)
  end
  settings.host_key_policy = policy or settings.host_key_policy
end

function reader:keys(settings)
  local keys, variable = self:texts("key")
  keys = keys or settings.keys
  if not keys then return end
  local definition = variable == "key" and self.inventory:definition(variable, self.name)
  local beside = definition and definition.file and definition.file:match "^(.*/)[^/]*$" or ""
  settings.keys = {}
  for i, path in ipairs(keys) do
    path = expand_home(path)
    settings.keys[i] = path:find "^/" and path or beside .. path
  end
end

function reader:jumps(settings)
  local texts, variable = self:texts("jump")
  if texts then
    local hops, problem = ssh_options.hops(table.concat(texts, ","))
    if not hops then self:fail(variable, "%s", problem) end
    settings.jump, settings.jump_variable = hops, variable
  end
end

--- Everything that the variables of a host say, hops not yet resolved.
function reader:settings()
  local settings = { name = self.name }
  self:arguments(settings)
  self:transport(settings)
  settings.address = self:text("address") or settings.address or self.name
  settings.port = self:number("port", 1, 65535) or settings.port
  settings.user = self:text("user") or settings.user
  self:keys(settings)
  settings.password = self:password("password")
  self:become(settings)
  settings.become_password = self:password("become_password")
  self:host_keys(settings)
  self:jumps(settings)
  local seconds = self:number("timeout", 1, 3600) or settings.connect_timeout
  if seconds then settings.timeouts = { connect = seconds } end
  settings.connect_timeout = nil
  for i, path in ipairs(settings.known_hosts or {}) do
    settings.known_hosts[i] = expand_home(path)
  end
  return settings
end

local function read(inventory, name)
  local vars = inventory:vars(name)
  return setmetatable({ inventory = inventory, name = name, vars = vars,
    ansible = ansible_name(vars) }, reader)
end

-- A hop that the inventory does not know is reached as its own address, with
-- the keys and the policy of the host behind it.
local function stranger(hop, behind)
  return { name = hop.host, address = hop.host, port = hop.port, user = hop.user,
    keys = hop.keys or behind.keys, identities_only = behind.identities_only,
    known_hosts = hop.known_hosts or behind.known_hosts, agent = behind.agent,
    host_key_policy = hop.host_key_policy or behind.host_key_policy, timeouts = behind.timeouts }
end

local resolve

-- The hop as a host of the inventory. Only a first hop is reached by jumps of
-- its own: those after it are reached through the ones before, as with ssh -J.
local function known_hop(inventory, jumps, hop, trail, first)
  local own = first and resolve(inventory, hop.host, trail) or read(inventory, hop.host):settings()
  for _, before in ipairs(own.jumps or {}) do jumps[#jumps + 1] = before end
  own.jumps, own.jump, own.jump_variable = nil, nil, nil
  own.become, own.become_password = nil, nil
  own.user, own.port = hop.user or own.user, hop.port or own.port
  own.keys = hop.keys or own.keys
  jumps[#jumps + 1] = own
end

local function add_hop(inventory, jumps, hop, behind, trail)
  local first = #jumps == 0
  if inventory:has(hop.host) then return known_hop(inventory, jumps, hop, trail, first) end
  for _, before in ipairs(first and hop.jump or {}) do
    add_hop(inventory, jumps, before, behind, trail)
  end
  jumps[#jumps + 1] = stranger(hop, behind)
end

function reader:refuse_circle(variable, host, trail)
  for _, before in ipairs(trail) do
    if before == host then
      self:fail(variable, "the jumps go in a circle: %s -> %s", table.concat(trail, " -> "), host)
    end
  end
end

--- Settings with the hops resolved. A host does not jump through itself, so
-- that a jump can be set for a whole group the bastion is in.
function resolve(inventory, name, trail)
  local self = read(inventory, name)
  local settings = self:settings()
  local hops, variable = settings.jump, settings.jump_variable
  settings.jump, settings.jump_variable = nil, nil
  if not hops or #hops == 0 then return settings end
  local jumps, here = {}, { table.unpack(trail) }
  here[#here + 1] = name
  for _, hop in ipairs(hops) do
    if hop.host ~= name then
      self:refuse_circle(variable, hop.host, here)
      add_hop(inventory, jumps, hop, settings, here)
    end
  end
  settings.jumps = #jumps > 0 and jumps or nil
  return settings
end

--- How to reach a host.
-- @param inventory table
-- @param name string
-- @return table: settings for `kb.remote.open`; raises for the inventory's own
--   functions
function M.settings(inventory, name)
  return resolve(inventory, name, {})
end

return M
