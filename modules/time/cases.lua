local root = { "user.self", { name = "root", group = "root", home = "/root" } }

local function dir(path)
  return { "file.stat", path, { kind = "directory", mode = tonumber("755", 8), owner = "root",
    group = "root" } }
end

local function file(path, text, digest)
  return { "file.stat", path, { kind = "file", mode = tonumber("644", 8), owner = "root",
    group = "root", size = #text } }, { "file.content", path, text },
    { "file.digest", path, digest or "00" }
end

local zone = "/usr/share/zoneinfo/Europe/Berlin"

local function link(to)
  return { "file.stat", "/etc/localtime", { kind = "link", target = to } }
end

local sources = "/etc/chrony/sources.d"
local text = "server 192.0.2.1 iburst\n"
local digest = "59b9bfd5fccddf8d3d25dd8837bcba8bc5a3dbea7ec0caea3853f16b2abe38b2" -- of that text

local function unit(name, over)
  local state = { load = "loaded", active = "active", sub = "running", enabled = "enabled", pid = 7,
    needs_reload = false, path = "/lib/systemd/system/" .. name, drop_ins = {} }
  for k, v in pairs(over or {}) do
    state[k] = v
  end
  return { "unit.state", name, state }
end

local chrony = unit "chrony.service"
local timesyncd = unit("systemd-timesyncd.service")
local missing = { load = "not-found", active = "inactive", enabled = "", path = "" }
local since = { "unit.moments", "chrony.service", { started = 100, reloaded = 100 } }

return {
  { "time.zone", "sets it", args = { "Europe/Berlin" }, title = "time zone Europe/Berlin",
    given = { root, dir "/etc", { "file.exists", zone, true }, link "/usr/share/zoneinfo/Etc/UTC",
      file("/etc/timezone", "Etc/UTC\n") } },
  { "time.zone", "is so", args = { "Europe/Berlin" }, same = "already as asked",
    given = { root, { "file.exists", zone, true }, link(zone),
      file("/etc/timezone", "Europe/Berlin\n",
      "338780a9fd2d741c21a0697f3c7eece7b4561ef6f9536df3b2fd9352818ac299") } },
  { "time.zone", "there is none such", args = { "Europe/Berlin" }, refuses = "no time zone",
    given = { { "file.exists", zone, false } } },

  { "time.synchronised", "tells chrony its servers", args = { servers = "192.0.2.1" },
    given = { root, dir "/etc/chrony", dir(sources), chrony, since,
      { "file.stat", sources .. "/kbrun.sources", { kind = "absent" } },
      { "file.digest", sources .. "/kbrun.sources", false } },
    title = "create /etc/chrony/sources.d/kbrun.sources; "
      .. "restart chrony.service: /etc/chrony/sources.d/kbrun.sources has changed" },
  { "time.synchronised", "starts what is there", args = {}, title =
    "start systemd-timesyncd.service",
    given = { unit("chrony.service", missing), unit("systemd-timesyncd.service",
      { active = "inactive" }), { "unit.moments", "systemd-timesyncd.service",
      { started = false, reloaded = false } } } },
  { "time.synchronised", "waits for it", args = { within = "1m" }, given = { chrony, since,
    { "time.kept", false } }, title = "wait until the clock is right" },
  { "time.synchronised", "is so", args = { servers = "192.0.2.1", within = 5 },
    same = "kept right",
    given = { root, dir(sources), chrony, since, timesyncd, { "time.kept", true },
      { "file.changed", sources .. "/kbrun.sources", 99 },
      file(sources .. "/kbrun.sources", text, digest) } },
  { "time.synchronised", "nothing is installed", args = {}, refuses = "nothing that keeps",
    given = { unit("chrony.service", missing), unit("systemd-timesyncd.service", missing) } },
}
