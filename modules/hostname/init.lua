--- A host's name.

local files = require "modules.files"
local kb = require "kb"

local M = {}

local function running(args)
  return function(ask)
    if ask "hostname.running" == args.name then
      return nil, "already called so"
    end
    return { title = "", actions = { "hostname -- " .. kb.quote(args.name) },
      effect = { { "hostname.running", args.name } } }
  end
end

--- The name of the host, now and after a boot.
-- It does not change /etc/hosts, which hosts.entry does.
-- @param name string: the name; without dots, for most purposes
M.name = kb.op {
  name = "hostname.name",
  args = { { "name", "string", "the name", at = 1, required = true } },
  facts = function()
    return { { "hostname.running" }, { "file.stat", "/etc/hostname" },
      { "file.digest", "/etc/hostname" }, { "user.self" } }
  end,
  plan = function(args, fact)
    if not args.name:find("^%w[%w.-]*$") or #args.name > 64 then
      kb.refuse(("%q cannot be the name of a host"):format(args.name),
        "letters, digits, - and . , 64 at most")
    end
    return kb.sequence(fact, { function(ask)
      return kb.plan(files.file, ask, { "/etc/hostname", content = args.name .. "\n" })
    end, running(args) }, "call the host " .. args.name)
  end,
}

return M
