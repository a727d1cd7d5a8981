--- Facts about users and groups.
local kb = require "kb"

local M = {}

local function sorted_words(text)
  local list = {}
  for word in text:gmatch("%S+") do
    list[#list + 1] = word
  end
  table.sort(list)
  return list
end

--- A user's account.
-- @param name string
-- @return table: uid (integer), group (name of the primary one), groups (sorted list of the names
-- of all), comment, home, shell; false when there is no such user
M.account = kb.fact {
  name = "user.account",
  command = function(name)
    local n = kb.quote(name)
    return ("getent passwd -- %s && id -gn -- %s && id -Gn -- %s || [ $? = 2 ]"):format(n, n, n)
  end,
  parse = function(out, code)
    if code ~= 0 then
      return nil, "the accounts cannot be read"
    elseif out == "" then
      return false
    end
    local line, group, groups = out:match("^([^\n]*)\n([^\n]*)\n([^\n]*)\n")
    local uid, comment, home, shell = line:match("^[^:]*:[^:]*:(%d+):%d+:([^:]*):([^:]*):(.*)$")
    return { uid = math.tointeger(tonumber(uid)), group = group, groups = sorted_words(groups),
      comment = comment, home = home, shell = shell }
  end,
  bare = function(name)
    return name == "root" and { uid = 0, group = "root", groups = { "root" }, comment = "root",
      home = "/root", shell = "/bin/bash" } or false
  end,
}

--- The SHA-256 of the hash of a user's password, which itself is not shown.
-- @param name string
-- @return string (hexadecimal); false when there is no such user
M.password = kb.fact {
  name = "user.password",
  command = function(name)
    return ("l=$(getent shadow -- %s) && printf %%s \"$l\" | cut -d: -f2 | tr -d '\\n' | sha256sum "
      .. "|| [ $? = 2 ]"):format(kb.quote(name))
  end,
  parse = function(out, code)
    if code ~= 0 then
      return nil, "the passwords' hashes cannot be read: only root may"
    end
    return out:match("^%x+") or false
  end,
  bare = false,
}

-- The value of a setting in login.defs, the last that is given.
local function setting(text, name)
  local value
  for word in text:gmatch("%f[%S]" .. name .. "[ \t]+(%d+)") do
    value = tonumber(word, 8)
  end
  return value
end

--- What the home directory of a new user is made of.
-- @return table: mode (integer: its permission bits), names (list: what is in it, relative to it)
M.skeleton = kb.fact {
  name = "user.skeleton",
  command = function()
    return [=[grep -E '^[[:space:]]*(HOME_MODE|UMASK)[[:space:]]' /etc/login.defs; echo :
d=$(useradd -D | sed -n 's/^SKEL=//p')
[ ! -d "${d:-/etc/skel}" ] || find "${d:-/etc/skel}" -mindepth 1 -printf '%P\n']=]
  end,
  parse = function(out)
    local settings, listing = out:match("^(.-):\n(.*)$")
    if not settings then
      return nil, "the settings of new users cannot be read"
    end
    local names = {}
    for name in listing:gmatch("[^\n]+") do
      names[#names + 1] = name
    end
    table.sort(names)
    local everything = tonumber("777", 8)
    return { names = names, mode = setting(settings, "HOME_MODE")
      or everything & ~(setting(settings, "UMASK") or tonumber("022", 8)) }
  end,
  bare = { names = { ".bash_logout", ".bashrc", ".profile" }, mode = tonumber("755", 8) },
}

-- Groups that Debian always has.
local usual = {}
for name in ("root daemon adm tty disk sudo users staff www-data nogroup"):gmatch("%S+") do
  usual[name] = true
end

--- A group.
-- @param name string
-- @return table: gid (integer), members (sorted list of names); false when there is none
M.group = kb.fact {
  name = "group.entry",
  command = function(name)
    return ("getent group -- %s || [ $? = 2 ]"):format(kb.quote(name))
  end,
  parse = function(out, code)
    if code ~= 0 then
      return nil, "the groups cannot be read"
    end
    local gid, members = out:match("^[^:]*:[^:]*:(%d+):([^\n]*)")
    return gid and { gid = math.tointeger(tonumber(gid)),
      members = sorted_words((members:gsub(",", " "))) } or false
  end,
  bare = function(name)
    return usual[name] and { gid = kb.unknown "known once the host is asked", members = {} }
      or false
  end,
}

return M
