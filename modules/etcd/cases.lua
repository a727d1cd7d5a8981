local config = require "modules.etcd.config"

local function unit(active)
  return { "unit.state", "etcd.service", { load = "loaded", active = active, sub = "running",
    enabled = "enabled", pid = 7, needs_reload = false, drop_ins = {},
    path = "/lib/systemd/system/etcd.service" } }
end

-- Members of the names given; those with a minus are not healthy, with a plus learners.
local function members(words)
  local set = {}
  for mark, name in words:gmatch("([-+]?)(%w+)") do
    set[name] = { id = "a" .. name:match("%d"), started = true, learner = mark == "+",
      healthy = mark ~= "-" }
  end
  return { "etcd.members", set }
end

local since = { "unit.moments", "etcd.service", { started = 100, reloaded = 100 } }
local changed = { "file.changed", "/etc/default/etcd", 200 }
local watch = { "m0", watch = { "/etc/default/etcd" } }

local function restart(name, words)
  return { "etcd.service", name, args = watch,
    given = { unit "active", since, changed, members(words) } }
end

local function with(case, more)
  for k, v in pairs(more) do
    case[k] = v
  end
  return case
end

return {
  { "etcd.service", "starts", given = { unit "inactive", since }, args = { "m0" },
    title = "start etcd.service" },
  { "etcd.service", "runs", given = { unit "active", since }, args = { "m0" }, same = "" },
  with(restart("a member that answers is left alone", "m0 m1 m2"),
    { args = { "m0", watch = { "/etc/default/etcd" }, first = true }, same = "" }),
  { "etcd.service", "none answers", given = { unit "active", since, changed,
    { "etcd.members", false } },
    args = { "m0", watch = { "/etc/default/etcd" }, first = true, interrupt = true },
    title = "restart etcd.service: /etc/default/etcd has changed" },
  { "etcd.service", "it was never started: nobody is asked",
    given = { unit "active", since, changed, { "file.exists", "/d/member", false } },
    args = { "m0", watch = { "/etc/default/etcd" }, first = true, data = "/d" },
    title = "restart etcd.service: /etc/default/etcd has changed" },
  { "etcd.service", "it was started, and answers", given = { unit "active", since, changed,
    { "file.exists", "/d/member", true }, members "m0 m1" }, same = "",
    args = { "m0", watch = { "/etc/default/etcd" }, first = true, data = "/d" } },
  with(restart("others are healthy", "m0 m1 m2"),
    { title = "restart etcd.service: /etc/default/etcd has changed" }),
  with(restart("another one is ill", "m0 m1 -m2"), { refuses =
    "2 of 3 members are needed, and without it there would be 1 healthy (m1)" }),
  with(restart("a learner does not vote", "m0 m1 +m2"), { refuses = "take away the quorum" }),
  with(restart("it is ill itself", "-m0 m1 -m2"), {}),
  with(restart("it is alone", "m0"), {}),
  with(restart("five, of which two are ill", "m0 m1 -m2 -m3 m4"), { refuses = "3 of 5" }),
  with(restart("five, of which one is ill", "m0 m1 m2 -m3 m4"), {}),
  { "etcd.service", "it may interrupt", args = { "m0", watch = watch.watch, interrupt = true },
    given = { unit "active", since, changed } },
  { "etcd.service", "stops", args = { "m0", state = "stopped" }, title = "stop etcd.service",
    given = { unit "active", since, members "m0 m1 m2" } },
  { "etcd.service", "the last one", args = { "m0", state = "stopped" },
    given = { unit "active", since, members "m0" }, refuses = "to stop etcd on m0" },
  { "etcd.member_absent", "removes it", given = { members "m0 m1 -m2" }, args = { "m2" },
    effect = { members "m0 m1" }, actions = { { run = config.etcdctl "member remove a2",
      fails = "etcd did not remove it" } } },
  { "etcd.member_absent", "is gone", given = { members "m0 m1" }, args = { "m2" },
    same = "no such" },
  { "etcd.member_absent", "too few would stay", given = { members "m0 -m1 m2" }, args = { "m2" },
    refuses = "without m2 etcd has 2 members, of which 2 are needed, and only 1 are healthy" },
  { "etcd.member_absent", "the only one", given = { members "m0" }, args = { "m0" },
    refuses = "only member" },
  { "etcd.member_absent", "nobody answers", given = { { "etcd.members", false } },
    args = { "m0" }, refuses = "does not answer" },
}
