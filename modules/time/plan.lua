--- The plan of a clock that is kept right.

local files = require "modules.files"
local kb = require "kb"
local systemd = require "modules.systemd"

local M = {}

local order = { "chrony", "systemd-timesyncd" }

-- Where each service is told its servers.
local places = {
  chrony = { dir = "/etc/chrony/sources.d", path = "/etc/chrony/sources.d/kbrun.sources" },
  ["systemd-timesyncd"] = { dir = "/etc/systemd/timesyncd.conf.d",
    path = "/etc/systemd/timesyncd.conf.d/kbrun.conf" },
}

--- The questions of time.synchronised.
function M.questions(args)
  local list = {}
  for _, name in ipairs(args.service and { args.service } or order) do
    list[#list + 1] = { "unit.state", name .. ".service" }
    list[#list + 1] = { "unit.moments", name .. ".service" }
  end
  if args.within then
    list[#list + 1] = { "time.kept" }
  end
  return list
end

local function service_of(args, fact)
  for _, name in ipairs(args.service and { args.service } or order) do
    if fact("unit.state", name .. ".service").load == "loaded" then
      return name
    end
  end
  kb.refuse(args.service and ("%s is not installed"):format(args.service)
    or "nothing that keeps the clock right is installed",
    "install it first: apt.packages(host, { \"chrony\", units = { \"chrony.service\" } })")
end

local function text_of(service, servers)
  if service == "chrony" then
    local lines = {}
    for i, server in ipairs(servers) do
      lines[i] = ("server %s iburst\n"):format(server)
    end
    return table.concat(lines)
  end
  return ("[Time]\nNTP=%s\n"):format(table.concat(servers, " "))
end

local function wait_for_it(args)
  return function(ask)
    if not args.within or ask "time.kept" then
      return nil, "the clock is kept right"
    end
    return { title = "wait until the clock is right", effect = { { "time.kept", true } },
      actions = { { timeout = args.within + 10, fails = "the clock did not become right",
        run = ("n=0; until [ \"$(timedatectl show -p NTPSynchronized --value)\" = yes ]; do "
          .. "[ $n -lt %d ] || exit 1; n=$((n + 1)); sleep 1; done")
          :format(math.ceil(args.within)) } } }
  end
end

--- The plan of time.synchronised.
-- @param args table
-- @param fact function
-- @return change, or nil and a reason
function M.synchronised(args, fact)
  local service = service_of(args, fact)
  local place, plans = places[service], {}
  for _, server in ipairs(args.servers or {}) do
    if not tostring(server):find("^[%w.:_-]+$") then
      kb.refuse(("%q is not the name or address of a server"):format(server))
    end
  end
  if args.servers then
    plans[1] = function(ask)
      return kb.plan(files.directory, ask, { place.dir })
    end
    plans[2] = function(ask)
      return kb.plan(files.file, ask, { place.path, content = text_of(service, args.servers) })
    end
  end
  table.insert(plans, function(ask)
    return kb.plan(systemd.unit, ask, { service .. ".service", state = "running", enabled = true,
      watch = args.servers and { place.path } or {} })
  end)
  table.insert(plans, wait_for_it(args))
  return kb.sequence(fact, plans)
end

return M
