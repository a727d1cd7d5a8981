--- Machines with one or another program as /bin/sh, for what must run on any.
local sys = require "kb.core.sys"
local transport = require "kb.transport.local"

local M = {}

-- Each comes from the Debian package of its name. dash is what the machine itself has.
local programs = { dash = "", busybox = "/bin/busybox", bash = "/bin/bash" }

--- The shells that can be had: all for root, who can put one in the place of another in a mount
-- namespace of its own; else what is there.
-- @return list of names
function M.names()
  local names = {}
  for name, path in pairs(programs) do
    if path == "" or sys.self().uid == 0 then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

--- A connection to this machine on which /bin/sh is the shell of that name.
-- @param name string
-- @return connection: exec, alive, close
function M.connect(name)
  local connection = assert(transport.open {})
  local path = programs[name]
  if path == "" then
    return connection
  end
  local sh = sys.realpath "/bin/sh"
  return {
    exec = function(_, command)
      local quoted = "'" .. command:gsub("'", [['\'']]) .. "'"
      return connection:exec(([[exec unshare -m /bin/sh -c \
        'mount --bind %s %s && exec /bin/sh -c "$1"' sh %s]]):format(path, sh, quoted))
    end,
    alive = function() return connection:alive() end,
    close = function() connection:close() end,
  }
end

return M
