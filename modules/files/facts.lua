--- Facts about files.
local kb = require "kb"

local M = {}

-- What stat's %F calls things, in our words.
local kinds = {
  ["regular file"] = "file", ["regular empty file"] = "file", directory = "directory",
  ["symbolic link"] = "link", socket = "socket", fifo = "fifo",
  ["character special file"] = "device", ["block special file"] = "device",
}

-- Directories that every system has, for previews without a host; sudo's, too, since that is how
-- one becomes root there.
local usual = {}
for dir in ("/ /etc /etc/systemd /etc/systemd/system /etc/default /etc/sysctl.d "
  .. "/etc/modules-load.d /etc/sudoers.d /etc/cron.d /etc/profile.d /etc/logrotate.d "
  .. "/etc/apt /etc/apt/sources.list.d /etc/apt/keyrings /usr /usr/bin /usr/local /usr/local/bin "
  .. "/usr/local/sbin /usr/local/lib /var /var/lib /var/log /var/tmp /tmp /opt /srv /root "
  .. "/home /run")
  :gmatch("%S+") do
  usual[dir] = true
end

local function on_fresh_system(path)
  if usual[path] then
    local mode = path:find("tmp") and "1777" or path == "/root" and "700" or "755"
    return { kind = "directory", mode = tonumber(mode, 8), owner = "root", group = "root",
      size = 4096 }
  end
  return { kind = "absent" }
end

--- What is at a path; a link is not followed.
-- @param path string
-- @return table: kind ("absent", "file", "directory", "link", "socket", "fifo", "device"), mode
-- (integer), owner, group (names), size (bytes), target (of a link)
M.stat = kb.fact {
  name = "file.stat",
  command = function(path)
    local p = kb.quote(path)
    return ("if [ -e %s ] || [ -L %s ]; then stat -c '%%F/%%a/%%U/%%G/%%s' -- %s && "
      .. "if [ -L %s ]; then readlink -- %s; fi; else echo absent; fi"):format(p, p, p, p, p)
  end,
  parse = function(out, code)
    if code ~= 0 then
      return nil, "stat failed"
    end
    local kind, mode, owner, group, size, rest =
      out:match("^([^/]+)/(%d+)/([^/]+)/([^/]+)/(%d+)\n(.*)$")
    if not kind then
      return { kind = "absent" }
    end
    return { kind = kinds[kind] or kind, mode = tonumber(mode, 8), owner = owner, group = group,
      size = math.tointeger(tonumber(size)),
      target = kind == "symbolic link" and rest:sub(1, -2) or nil }
  end,
  bare = on_fresh_system,
}

-- Files above this size are worth it that a program takes longer to start and less to read them.
local SLOW_TO_START = 1 << 20

--- The SHA-256 of a file's content.
-- @param path string
-- @return string (hexadecimal); false when there is no such file
M.digest = kb.fact {
  name = "file.digest",
  command = function(path)
    local p = kb.quote(path)
    -- openssl is the faster one, once it has started
    return ("if [ -f %s ]; then if [ \"$(wc -c <%s)\" -gt %d ] "
      .. "&& command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 -r -- %s 2>/dev/null "
      .. "|| openssl dgst -sha256 -r %s; else sha256sum -- %s; fi; else echo absent; fi")
      :format(p, p, SLOW_TO_START, p, p, p)
  end,
  parse = function(out)
    local digest = out:match("^\\?(%x+)")
    return digest and #digest == 64 and digest or false
  end,
  bare = false,
}

-- Contents above this size are not fetched: nobody reads their difference.
local LARGEST = 262144

--- The text of a file.
-- @param path string
-- @return string; false when there is no such file or it is larger than 256 KiB
M.content = kb.fact {
  name = "file.content",
  command = function(path)
    local p = kb.quote(path)
    return ("if [ -f %s ] && [ $(wc -c < %s) -le %d ]; then echo; cat -- %s; fi")
      :format(p, p, LARGEST, p)
  end,
  parse = function(out)
    return out:sub(1, 1) == "\n" and out:sub(2) or false
  end,
  bare = false,
}

--- Whether there is anything at a path, a link that leads nowhere included.
-- @param path string
-- @return boolean
M.exists = kb.fact {
  name = "file.exists",
  command = function(path)
    local p = kb.quote(path)
    return ("if [ -e %s ] || [ -L %s ]; then echo yes; else echo no; fi"):format(p, p)
  end,
  parse = function(out)
    return out == "yes\n"
  end,
  bare = function(path)
    return usual[path] == true or path:find("^/usr/share/zoneinfo/%u") ~= nil
  end,
}

--- What is in a directory, with the SHA-256 of each file.
-- Names that begin with ".kbrun." are passed over: files that are on their way.
-- @param path string
-- @return table: path below the directory -> { kind, mode, owner, group, digest (of a file), to (of
-- a link) }; "absent" when there is nothing, "other" when it is no directory
M.tree = kb.fact {
  name = "file.tree",
  costly = true,
  command = kb.tree.question,
  parse = function(out)
    return kb.tree.parse(out) or nil, "the directory cannot be read whole"
  end,
  bare = "absent",
}

--- When a file was last changed or put in its place; of a directory, also anything below it.
-- It is the time of the last status change, which also a file has that kept an old modification
-- time when it was copied or came with a package.
-- @param path string
-- @return number: seconds since 1970; false when there is nothing
M.changed = kb.fact {
  name = "file.changed",
  command = function(path)
    local p = kb.quote(path)
    -- both the link and what it leads to
    return ("if [ -L %s ] || [ -d %s ]; then { find %s -maxdepth 0 -printf '%%C@\\n'; "
      .. "find -H %s -printf '%%C@\\n'; } 2>/dev/null | sort -n | tail -n 1; "
      .. "elif [ -e %s ]; then find %s -printf '%%C@\\n' 2>/dev/null; fi"):format(p, p, p, p, p, p)
  end,
  parse = function(out)
    return tonumber(out:match("^[%d.]+")) or false
  end,
  bare = false,
}

--- Who acts: the user and primary group that new files belong to.
-- @return table: name, group, home
M.self = kb.fact {
  name = "user.self",
  constant = true,
  command = function()
    return 'id -un && id -gn && echo "$HOME"'
  end,
  parse = function(out)
    local name, group, home = out:match("^(.-)\n(.-)\n(.-)\n$")
    return name and { name = name, group = group, home = home }
  end,
  bare = { name = "root", group = "root", home = "/root" },
}

return M
