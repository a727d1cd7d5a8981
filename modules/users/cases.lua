local function account(over)
  local is = { uid = 1000, group = "ann", groups = { "adm", "ann" }, comment = "",
    home = "/home/ann", shell = "/bin/sh" }
  for k, v in pairs(over or {}) do
    is[k] = v
  end
  return { "user.account", "ann", is }
end

local function group(name, gid)
  return { "group.entry", name, gid and { gid = gid, members = {} } or false }
end

local nobody = { "user.account", "ann", false }
local hash = "$6$salt$hash"
local hash_digest = "d722f0abfd853428937eca95ec5c7c6fb589a9aef596fbd89aee20f0fc2cafd4"

local skeleton = { "user.skeleton", { names = { ".profile" }, mode = tonumber("755", 8) } }

local function no_home(...)
  return { nobody, skeleton, { "file.stat", "/home/ann", { kind = "absent" } },
    { "file.stat", "/home", { kind = "directory" } }, ... }
end

return {
  { "users.user", "makes one", args = { "ann" }, given = no_home(), title = "make the user ann",
    actions = { "useradd -m -U -- ann" } },
  { "users.user", "leaves the home directory that is there", args = { "ann", uid = 1001,
      group = "www", shell = "/bin/sh" },
    given = { nobody, skeleton, group("www", 33), { "file.stat", "/home/ann",
      { kind = "directory" } } },
    effect = { { "user.account", "ann", { uid = 1001, group = "www", groups = { "www" },
      comment = "", home = "/home/ann", shell = "/bin/sh" } } } },
  { "users.user", "makes one of the system, with all that is asked for",
    args = { "ann", uid = 900, group = "www", groups = { "b", "a" }, comment = "A B",
      home = "/srv/a", shell = "/bin/bash", system = true },
    given = { nobody, group("www", 33), group("a", 1), group("b", 2) },
    actions = { "useradd -M -u 900 -g www -G a,b -c 'A B' -d /srv/a -s /bin/bash -r -- ann" } },
  { "users.user", "with a password, which goes by stdin", args = { "ann", password = hash },
    given = no_home({ "user.password", "ann", false }),
    actions = { "useradd -m -U -- ann",
      { run = "chpasswd -e", stdin = "ann:" .. hash .. "\n" } } },
  { "users.user", "changes what differs", title = "user ann: uid, shell",
    args = { "ann", uid = 1001, shell = "/bin/bash", home = "/home/ann" }, given = { account() },
    actions = { "usermod -u 1001 -s /bin/bash -- ann" } },
  { "users.user", "adds a group", args = { "ann", groups = "docker" }, title = "user ann: groups",
    given = { account(), group("docker", 7) },
    actions = { "usermod -G adm,docker -- ann" } },
  { "users.user", "leaves a group", args = { "ann", groups = "docker", exact_groups = true },
    given = { account(), group("docker", 7) },
    actions = { "usermod -G docker -- ann" } },
  { "users.user", "another password", args = { "ann", password = hash },
    given = { account(), { "user.password", "ann", "00" } }, title = "user ann: password" },
  { "users.user", "goes with the home directory", title = "remove the user ann",
    args = { "ann", state = "absent", remove_home = true }, given = { account() },
    actions = { "userdel -r -- ann" } },
  { "users.user", "is as asked", same = "as asked",
    args = { "ann", uid = 1000, groups = "adm", shell = "/bin/sh", password = hash },
    given = { account(), group("adm", 4), { "user.password", "ann", hash_digest } } },
  { "users.user", "is not there", args = { "ann", state = "absent" }, given = { nobody },
    same = "there is no such user" },
  { "users.user", "a group is missing", args = { "ann", groups = "docker" },
    given = { nobody, group "docker" }, refuses = "there is no group docker" },
  { "users.user", "a name that is none", args = { "-ann" }, refuses = "cannot be the name" },

  { "users.group", "makes one", args = { "web", gid = 70, system = true }, given = { group "web" },
    actions = { "groupadd -r -g 70 -- web" } },
  { "users.group", "another number", args = { "web", gid = 70 }, given = { group("web", 71) },
    title = "group web: number 70", actions = { "groupmod -g 70 -- web" } },
  { "users.group", "removes it", args = { "web", state = "absent" }, given = { group("web", 1) },
    actions = { "groupdel -- web" } },
  { "users.group", "is there", args = { "web" }, given = { group("web", 1) }, same = "as asked" },
  { "users.group", "a name that is none", args = { "a b" }, refuses = "cannot be the name" },
}
