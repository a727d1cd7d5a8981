--- Become another user on a host, once per shell: sudo, sudo-rs or su.
--
-- The password is sent only after its prompt. Without a prompt (NOPASSWD) nothing is sent, because
-- the line would be taken for data. Nothing else is sent before the new shell says that it is
-- there, because a second prompt would take it for a password.
local program = require "kb.shell.program"
local quote = require "kb.quote"
local secret = require "kb.secret"

local M = {}

-- What the other user's shell runs: say on both streams that it is there, then wait for its line.
local function greeting(nonce)
  local ready = ([[printf "\001%s:0\n">&2;printf "\001%s:0:hello:0:\n"]]):format(nonce, nonce)
  return (program.boot:gsub("'", function()
    return "'" .. ready .. ";"
  end, 1):gsub("^exec ", ""))
end

local methods = {}

-- sudo puts its prompt on stderr as it is; sudo-rs frames it, "[sudo: PROMPT] Password:", so what
-- is looked for is the nonce in it. -k: a password that sudo remembers would make the prompt a
-- matter of luck.
function methods.sudo(user, nonce)
  return {
    command = ("sudo -S -k -H -p %s -u %s -- %s"):format(quote("[" .. nonce .. "] "), quote(user),
      greeting(nonce)),
    prompt = nonce,
  }
end

function methods.su(user, nonce)
  return {
    command = ("su -s /bin/sh %s -c %s"):format(quote(user), quote(greeting(nonce))),
    prompt = "[Pp]assword:",
  }
end

local function given(password)
  if type(password) == "function" then
    password = password()
  end
  return secret.reveal(password)
end

-- Answer the first prompt; a second one means that the password was wrong, and a third try would
-- only fill the host's log.
local function answer(shell, way, state)
  return function(kind, data)
    if kind ~= "err" then
      return
    end
    state.said = state.said .. data
    local _, prompts = state.said:gsub(way.prompt, "")
    if prompts > 1 then
      state.wrong = true
    elseif prompts == 1 and not state.asked then
      state.asked = true
      local password = given(state.password)
      if password then
        shell:_write(password .. "\n")
        return
      end
    end
    if not state.over and (state.wrong or state.asked and not state.password) then
      state.over = true
      shell.channel.stdin:shutdown()
    end
  end
end

-- What the program said, without our prompt.
local function words(state, way)
  local lines = {}
  for line in (state.said .. "\n"):gmatch("(.-)\n") do
    line = line:gsub("^.*" .. way.prompt .. "[%]%s]*", ""):gsub("^Password:%s*", "")
    line = line:gsub("%s+$", "")
    if line ~= "" then
      lines[#lines + 1] = line
    end
  end
  return table.concat(lines, "; ")
end

local function explain(state, method, said)
  if state.wrong or said:find("Authentication failure", 1, true) and state.asked then
    return "wrong password"
  elseif state.asked and not state.password then
    return method .. " asks for a password, and none is known"
  elseif said:find("must have a tty", 1, true) then
    return "sudo wants a terminal here (requiretty): exempt this user with "
      .. "'Defaults:USER !requiretty' in sudoers"
  elseif said:find("sudoers", 1, true) or said:find("not allowed", 1, true) then
    return "this user may not: " .. said
  end
  return said ~= "" and said or method .. " gave no shell and no reason"
end

--- Turn the /bin/sh that waits at the other end of a fresh shell into one of another user.
-- @param shell kb.shell: just opened
-- @param opts table: become ("sudo" or "su"), become_user, become_password (string, secret or
-- function)
-- @param nonce string: hexadecimal digits, for this use only
-- @return true; or nil, message, code (EAUTH when it was refused)
function M.enter(shell, opts, nonce)
  local method, user = opts.become, opts.become_user or "root"
  if not methods[method] then
    error(("become is %q; it must be sudo or su"):format(tostring(method)), 0)
  end
  local way = methods[method](user, nonce)
  local state = { said = "", password = opts.become_password }
  local request = shell:_request { on_output = answer(shell, way, state), discard = true }
  local ok, message, code = shell:_write(program.clean() .. " " .. way.command .. "\n")
  if ok then
    ok, message, code = shell:_await(request)
  end
  if ok then
    return true
  end
  local where = ("%s: %s to %s: "):format(shell.name, method, user)
  if code == "ETIMEDOUT" then
    return nil, where .. "no answer in time" .. (state.asked and " after the password" or ""), code
  elseif code ~= "ECLOSED" then
    return nil, where .. message, code
  end
  return nil, where .. explain(state, method, words(state, way)), "EAUTH"
end

return M
