--- Names of hosts in /etc/hosts.

local files = require "modules.files"
local kb = require "kb"
local text = require "modules.hosts.text"

local M = {}

--- An address with its names in /etc/hosts.
-- The names are taken from lines of other addresses of the same family, so that each has one
-- address; further names of this address stay.
-- @param address string: IPv4 or IPv6
-- @param names list: the names; with state absent and without names, all lines of the address go
-- @param state string: present or absent
M.entry = kb.op {
  name = "hosts.entry",
  args = {
    { "address", "string", "IPv4 or IPv6", at = 1, required = true },
    { "names", "list", "the names", default = {} },
    { "state", { "present", "absent" }, "whether they are there", default = "present" },
  },
  facts = function()
    return { { "file.content", "/etc/hosts" }, { "file.stat", "/etc/hosts" },
      { "file.digest", "/etc/hosts" }, { "user.self" } }
  end,
  plan = function(args, fact)
    local old = files.text("/etc/hosts", fact)
    local new = text.edit(old, args)
    if new == old then
      return nil, args.state == "present" and "already there" or "not there"
    end
    local change, reason = kb.plan(files.file, fact, { "/etc/hosts", content = new })
    if change then
      change.title = ("%s %s: %s"):format(args.state == "present" and "name" or "forget",
        args.address, #args.names > 0 and table.concat(args.names, " ") or "all its names")
    end
    return change, reason
  end,
}

return M
