--- What the connection options of a command line say of every host.
local secret = require "kb.secret"
local sys = require "kb.core.sys"

local M = {}

local function to_secret(text, what)
  local ok, made = pcall(secret.new, text)
  if not ok then
    return nil, ("%s: %s"):format(what, (tostring(made):gsub("^[^ ]*:%d+: ", "")))
  end
  return made
end

local function ask(prompt, what)
  local text, message = sys.ask_secret(prompt)
  if not text then
    return nil, ("%s: %s"):format(what, message)
  end
  return to_secret(text, what)
end

-- The first line of the file, so that an editor's newline does no harm.
local function from_file(path)
  local text, message = sys.read_file(path)
  if not text then
    return nil, "--become-password-file: " .. message
  end
  return to_secret(text:match("^[^\r\n]*"), "--become-password-file: " .. path)
end

local function become_password(opts, login)
  if opts.become_password_file and opts.ask_become_password then
    return nil, "--become-password-file and --ask-become-password exclude each other"
  elseif opts.become_password_file then
    return from_file(opts.become_password_file)
  elseif opts.ask_become_password then
    local text, message = sys.ask_secret("Password for becoming root"
      .. (login and " (the login password if empty)" or "") .. ": ")
    if text == "" and login then
      return login
    elseif not text then
      return nil, "--ask-become-password: " .. message
    end
    return to_secret(text, "--ask-become-password")
  end
end

-- A key that is not there is found before it has cost a refused login on each host.
local function readable(keys)
  for _, path in ipairs(keys) do
    local file, message = io.open(path)
    if not file then
      return nil, "--key: " .. message
    end
    file:close()
  end
  return keys
end

--- The settings for kb.remote that the options of `common.connection` give, over
-- those of the inventory. Asks for passwords, so call it once and before a run.
-- @param opts table: the values of the options
-- @return table: user, keys, password, become, become_password, timeouts; only
--   what was given; or nil, message
function M.settings(opts)
  local settings, message = { user = opts.user }, nil
  if #(opts.key or {}) > 0 then
    settings.keys, message = readable(opts.key)
    if not settings.keys then
      return nil, message
    end
  end
  if opts.timeout then
    settings.timeouts = { connect = opts.timeout }
  end
  if opts.ask_password then
    settings.password, message = ask("Login password: ", "--ask-password")
  end
  if not message then
    settings.become_password, message = become_password(opts, settings.password)
  end
  if message then
    return nil, message
  end
  if opts.become or settings.become_password then
    settings.become = "sudo"
  end
  return settings
end

--- Lay settings over others; timeouts are laid over one by one.
-- @param settings table: of a host, from the inventory; it is changed
-- @param over table: what M.settings returned
-- @return table: the same settings
function M.apply(settings, over)
  for name, value in pairs(over) do
    if name == "timeouts" then
      settings.timeouts = settings.timeouts or {}
      for phase, seconds in pairs(value) do
        settings.timeouts[phase] = seconds
      end
    elseif name ~= "become" or not settings.become then -- su where the inventory says su
      settings[name] = value
    end
  end
  return settings
end

return M
