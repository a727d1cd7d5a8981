local root = { "user.self", { name = "root", group = "root", home = "/root" } }
local dir = { kind = "directory", mode = tonumber("755", 8), owner = "root", group = "root" }
local absent = { kind = "absent" }

local function unit(over)
  local state = { load = "loaded", active = "active", sub = "running", enabled = "enabled", pid = 7,
    needs_reload = false, path = "/lib/systemd/system/x.service", drop_ins = {} }
  for k, v in pairs(over or {}) do
    state[k] = v
  end
  return { "unit.state", "x.service", state }
end

local stopped = { active = "inactive", sub = "dead", pid = 0 }
local missing = { load = "not-found", active = "inactive", enabled = "", path = "" }
local since = { "unit.moments", "x.service", { started = 100, reloaded = 200 } }
local never = { "unit.moments", "x.service", { started = false, reloaded = false } }

local own = "/etc/systemd/system/x.service"
local drop = "/etc/systemd/system/x.service.d"
local service = "[Service]\nExecStart=/bin/x\n[Install]\nWantedBy=multi-user.target\n"

local function no_file(path)
  return { "file.stat", path, absent }, { "file.digest", path, false }
end

local function has_file(path, digest)
  local stat = { kind = "file", mode = tonumber("644", 8), owner = "root", group = "root",
    size = 3 }
  return { "file.stat", path, stat }, { "file.digest", path, digest },
    { "file.content", path, "old\n" }
end

local function given(...)
  return { root, { "file.stat", "/etc/systemd/system", dir }, ... }
end

local one = "2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806" -- of "one\n"

return {
  { "systemd.unit", "starts and enables", args = { "x", state = "running", enabled = true },
    given = { unit { active = "inactive", enabled = "disabled" }, never },
    title = "enable, start x.service" },
  { "systemd.unit", "stops and disables", args = { "x", state = "stopped", enabled = false },
    given = { unit() }, title = "disable, stop x.service",
    actions = { "systemctl disable -- x.service",
      "systemctl stop -- x.service && "
        .. "{ systemctl reset-failed -- x.service 2>/dev/null || :; }" } },
  { "systemd.unit", "what it watches has changed", args = { "x", watch = "/etc/x.conf" },
    given = { unit(), since, { "file.changed", "/etc/x.conf", 100.5 } },
    title = "restart x.service: /etc/x.conf has changed" },
  { "systemd.unit", "its own file has changed", args = { "x", state = "running" },
    given = { unit { path = own }, since, { "file.changed", own, 101 } },
    title = "restart x.service: /etc/systemd/system/x.service has changed" },
  { "systemd.unit", "a drop-in has changed", args = { "x", state = "running" },
    given = { unit { drop_ins = { drop .. "/a.conf" } }, since,
      { "file.changed", drop .. "/a.conf", 101 } },
    title = ("restart x.service: %s/a.conf has changed"):format(drop) },
  { "systemd.unit", "what it reloads has changed", args = { "x", reload = { "/a", "/b" } },
    given = { unit(), since, { "file.changed", "/a", 150 }, { "file.changed", "/b", 201 } },
    title = "reload x.service: /b has changed", actions = { "systemctl reload -- x.service" } },
  { "systemd.unit", "a restart reloads, too", args = { "x", watch = "/a", reload = "/b" },
    given = { unit(), since, { "file.changed", "/a", 150 }, { "file.changed", "/b", 201 } },
    title = "restart x.service: /a has changed" },
  { "systemd.unit", "changed before it was started", same = "x.service is active and enabled",
    args = { "x", state = "running", enabled = true, watch = { "/a", "/b" } },
    given = { unit(), since, { "file.changed", "/a", 99 }, { "file.changed", "/b", false } } },
  { "systemd.unit", "what is stopped is not restarted", args = { "x", watch = "/a" },
    given = { unit(stopped), since, { "file.changed", "/a", 150 } }, same = "inactive" },
  { "systemd.unit", "waits for its next try", args = { "x", state = "running" },
    given = { unit { active = "activating", sub = "auto-restart" }, since },
    title = "restart x.service" },
  { "systemd.unit", "is masked", args = { "x", masked = true, state = "stopped" },
    given = { unit() }, title = "stop, mask x.service" },
  { "systemd.unit", "is unmasked and started", again = false,
    args = { "x", masked = false, state = "running", enabled = true },
    given = { unit { load = "masked", enabled = "masked", active = "inactive" }, never },
    title = "unmask, enable, start x.service" },
  { "systemd.unit", "its files changed", args = { "x", enabled = true },
    given = { unit { needs_reload = true }, since }, actions = { "systemctl daemon-reload" },
    title = "take in the changed files of x.service" },
  { "systemd.unit", "what is not there is stopped", args = { "x", state = "stopped" },
    given = { unit(missing) }, same = "there is no unit x.service" },
  { "systemd.unit", "there is none", args = { "x", state = "running" },
    given = { unit(missing), never, { "file.stat", own, absent } },
    refuses = "there is no unit x.service" },
  { "systemd.unit", "its file was written as any file is", again = false,
    args = { "x", state = "running", enabled = true },
    given = { unit(missing), never, has_file(own, one) }, title = "enable, start x.service" },
  { "systemd.unit", "the file of its template was written", again = false,
    args = { "x@1", state = "running" },
    given = { { "unit.state", "x@1.service", unit(missing)[3] },
      { "unit.moments", "x@1.service", never[3] },
      { "file.stat", "/etc/systemd/system/x@.service", { kind = "file" } } },
    title = "start x@1.service" },
  { "systemd.unit", "masked and wanted", args = { "x", state = "running" },
    given = { unit { load = "masked", enabled = "masked", active = "inactive" }, never },
    refuses = "x.service is masked" },
  { "systemd.unit", "has no [Install]", args = { "x", enabled = true },
    given = { unit { enabled = "static" }, since }, refuses = "cannot be enabled" },

  { "systemd.unit_file", "makes it", args = { "x.service", content = service },
    given = given(unit(missing), no_file(own)), title = "create " .. own,
    actions = { { put = { path = own, content = service, owner = "root", group = "root",
      mode = tonumber("644", 8) } }, "systemctl daemon-reload" } },
  { "systemd.unit_file", "changes it", args = { "x.service", content = "one\n" },
    given = given(unit { path = own }, has_file(own, "00")), title = "change " .. own,
    diff = "@@ -1,1 +1,1 @@\n-old\n+one" },
  { "systemd.unit_file", "was written, not read", args = { "x.service", content = "one\n" },
    given = given(unit { needs_reload = true, path = own }, has_file(own, one)),
    title = "take in the changed files of x.service", actions = { "systemctl daemon-reload" } },
  { "systemd.unit_file", "a template of units", args = { "x@.service", content = "one\n" },
    given = given(no_file "/etc/systemd/system/x@.service"),
    title = "create /etc/systemd/system/x@.service" },
  { "systemd.unit_file", "removes it", args = { "x.service", state = "absent" },
    given = given(unit { path = own }, has_file(own, one)), title = "remove file " .. own,
    actions = { "systemctl disable -- x.service", "rm -f -- " .. own, "systemctl daemon-reload" } },
  { "systemd.unit_file", "is as asked", args = { "x.service", content = "one\n" },
    given = given(unit { path = own }, has_file(own, one)), same = "already as asked" },
  { "systemd.unit_file", "a name without a suffix", args = { "x", content = "" },
    refuses = '"x" is not the name of a unit\'s file' },
  { "systemd.unit_file", "without content", args = { "x.service" },
    refuses = "'content' is missing" },

  { "systemd.drop_in", "makes it and its directory",
    args = { "x", name = "limits", content = "one\n" },
    given = given(unit(), { "file.stat", drop, absent }, no_file(drop .. "/limits.conf")),
    title = ("create directory %s; create %s/limits.conf"):format(drop, drop) },
  { "systemd.drop_in", "is as asked", args = { "x", name = "limits.conf", content = "one\n" },
    given = given(unit(), { "file.stat", drop, dir }, has_file(drop .. "/limits.conf", one)),
    same = "already as asked" },
  { "systemd.drop_in", "removes it", args = { "x", name = "limits", state = "absent" },
    given = given(unit(), { "file.stat", drop, dir }, has_file(drop .. "/limits.conf", one)),
    title = ("remove file %s/limits.conf"):format(drop) },
  { "systemd.drop_in", "a name that is a path", args = { "x", name = "../a", content = "" },
    refuses = "is not the name of a file" },
}
