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
