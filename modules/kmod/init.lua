--- Kernel modules.

local files = require "modules.files"
local kb = require "kb"

local M = {}

-- Kernel parameters that are there once a module is.
local brings = { br_netfilter = "^net[./]bridge[./]", nf_conntrack = "^net[./].*nf_conntrack",
  ip_vs = "^net[./]ipv4[./]vs[./]" }

local function path_of(args)
  return ("/etc/modules-load.d/%s.conf"):format(args.name)
end

local function loading(args)
  return function(ask)
    if ask("kmod.loaded", args.name) then
      return nil, "loaded, and will be at boot"
    end
    local parameters = brings[args.name]
    return { title = "load " .. args.name, effect = { { "kmod.loaded", args.name, true },
        function(name, key)
          if name == "sysctl.running" and parameters and key:find(parameters) then
            return true, kb.unknown("known once " .. args.name .. " is loaded")
          end
        end },
      actions = { { run = "modprobe -- " .. kb.quote(args.name),
        fails = ("the kernel module %s cannot be loaded"):format(args.name) } } }
  end
end

--- A kernel module, loaded now and at boot.
-- One that is built into the kernel counts as loaded, also in a container.
-- @param name string: what it is called
-- @param boot boolean: whether it is loaded at boot: /etc/modules-load.d/NAME.conf
M.module = kb.op {
  name = "kmod.module",
  args = {
    { "name", "string", "what it is called", at = 1, required = true },
    { "boot", "boolean", "whether it is loaded at boot", default = true },
  },
  facts = function(args)
    return { { "kmod.loaded", args.name }, { "file.stat", path_of(args) },
      { "file.digest", path_of(args) }, { "user.self" } }
  end,
  plan = function(args, fact)
    if not args.name:find("^%w[%w_-]*$") then
      kb.refuse(("%q is not the name of a kernel module"):format(args.name))
    end
    return kb.sequence(fact, { function(ask)
      if not args.boot then
        return kb.plan(files.absent, ask, { path_of(args) })
      end
      return kb.plan(files.file, ask, { path_of(args), content = args.name .. "\n" })
    end, loading(args) })
  end,
}

return M
