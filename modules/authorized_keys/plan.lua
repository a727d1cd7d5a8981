--- The plan of a user's authorized keys.

local files = require "modules.files"
local kb = require "kb"

local M = {}

local types = {}
for name in ("ssh-ed25519 ssh-rsa ssh-dss ecdsa-sha2-nistp256 ecdsa-sha2-nistp384 "
  .. "ecdsa-sha2-nistp521 sk-ssh-ed25519@openssh.com sk-ecdsa-sha2-nistp256@openssh.com")
  :gmatch("%S+") do
  types[name] = true
end

-- What tells a key from others: its type and data; nil when the line holds none. Options may have
-- spaces within quotes, so that the type is looked for among all words.
local function identity(line)
  if line:find("^%s*#") then
    return nil
  end
  for start in (" " .. line):gmatch("%s()%S") do
    local kind, data = line:match("^(%S+)%s+(%S+)", start - 1)
    if types[kind] and data:find("^AAAA[%w+/]+=*$") then
      return kind .. " " .. data
    end
  end
end

local function wanted_keys(args)
  local list, by_identity = {}, {}
  for _, line in ipairs(args.keys) do
    line = line:gsub("%s+$", "")
    local key = identity(line)
    if not key or line:find("\n") then
      kb.refuse(("not a public key: %q"):format(line:sub(1, 60)),
        "a line as in a .pub file: ssh-ed25519 AAAA… comment")
    end
    list[#list + 1] = { key = key, line = line }
    by_identity[key] = line
  end
  return list, by_identity
end

-- The file's text with the keys as they are asked for.
local function edited(text, args)
  local list, wanted = wanted_keys(args)
  local lines, seen = {}, {}
  for line in text:gmatch("[^\n]+") do
    local key = identity(line)
    if args.state == "absent" then
      lines[#lines + 1] = not (key and wanted[key]) and line or nil
    elseif key and wanted[key] then
      lines[#lines + 1] = not seen[key] and wanted[key] or nil
      seen[key] = true
    elseif not (key and args.exclusive) then
      lines[#lines + 1] = line
    end
  end
  for _, entry in ipairs(args.state == "present" and list or {}) do
    if not seen[entry.key] then
      lines[#lines + 1] = entry.line
      seen[entry.key] = true
    end
  end
  return #lines > 0 and table.concat(lines, "\n") .. "\n" or ""
end

--- The plan of authorized_keys.keys.
-- @param args table
-- @param fact function
-- @return change, or nil and a reason
function M.keys(args, fact)
  local account = fact("user.account", args.user)
  if not account then
    kb.refuse(("there is no user %s"):format(args.user), "make the user first: users.user")
  end
  local dir = account.home .. "/.ssh"
  local path = dir .. "/authorized_keys"
  local text = files.text(path, fact)
  local new = edited(text, args)
  if new == "" and fact("file.stat", path).kind == "absent" then
    return nil, "no key is there"
  end
  local change, reason = kb.sequence(fact, { function(ask)
    return kb.plan(files.directory, ask, { dir, owner = args.user, group = account.group,
      mode = "0700" })
  end, function(ask)
    return kb.plan(files.file, ask, { path, content = new, owner = args.user,
      group = account.group, mode = "0600" })
  end }, ("the keys of %s"):format(args.user))
  return change, reason
end

return M
