--- The time zone of a host, and a clock that is kept right.

local files = require "modules.files"
local kb = require "kb"
local plan = require "modules.time.plan"

local M = {}

local ZONES = "/usr/share/zoneinfo/"

--- The time zone.
-- @param name string: such as "Europe/Berlin" or "Etc/UTC"
M.zone = kb.op {
  name = "time.zone",
  args = { { "name", "string", 'such as "Europe/Berlin"', at = 1, required = true } },
  facts = function(args)
    return { { "file.exists", ZONES .. args.name }, { "file.stat", "/etc/localtime" },
      { "file.stat", "/etc/timezone" }, { "file.digest", "/etc/timezone" }, { "user.self" } }
  end,
  plan = function(args, fact)
    if not args.name:find("^%u[%w_/+-]*$") or not fact("file.exists", ZONES .. args.name) then
      kb.refuse(("there is no time zone %s on the host"):format(args.name),
        "the package tzdata has them, below " .. ZONES)
    end
    return kb.sequence(fact, { function(ask)
      return kb.plan(files.link, ask, { "/etc/localtime", to = ZONES .. args.name, force = true })
    end, function(ask)
      return kb.plan(files.file, ask, { "/etc/timezone", content = args.name .. "\n" })
    end }, "time zone " .. args.name)
  end,
}

--- A clock that a service keeps right: it is told its servers, runs, and starts at boot.
-- @param servers list: names or addresses of time servers; absent: those that it knows already
-- @param service string: chrony or systemd-timesyncd; absent: the one that is there
-- @param within duration: wait so long for the clock to be right
M.synchronised = kb.op {
  name = "time.synchronised",
  args = {
    { "servers", "list", "names or addresses of time servers" },
    { "service", { "chrony", "systemd-timesyncd" }, "what keeps the clock right" },
    { "within", "duration", "wait so long for the clock to be right" },
  },
  facts = plan.questions,
  plan = plan.synchronised,
  evidence = function()
    return { "timedatectl", "chronyc -n sources 2>/dev/null || timedatectl show-timesync" }
  end,
}

return M
