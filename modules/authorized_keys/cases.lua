local root = { "user.self", { name = "root", group = "root", home = "/root" } }
local ann = { "user.account", "ann", { uid = 1, group = "ann", groups = { "ann" }, comment = "",
  home = "/home/ann", shell = "/bin/sh" } }
local path = "/home/ann/.ssh/authorized_keys"
local home = { "file.stat", "/home/ann", { kind = "directory", mode = tonumber("755", 8),
  owner = "ann", group = "ann" } }
local dir = { "file.stat", "/home/ann/.ssh", { kind = "directory", mode = tonumber("700", 8),
  owner = "ann", group = "ann" } }
local a, b = "ssh-ed25519 AAAAa one", 'from="1.2.3.4, 5" ssh-rsa AAAAb+/== two'

local function has(text, digest)
  return { root, ann, home, dir, { "file.stat", path, { kind = "file", mode = tonumber("600", 8),
    owner = "ann", group = "ann", size = #text } }, { "file.content", path, text },
    { "file.digest", path, digest or "00" } }
end

return {
  { "authorized_keys.keys", "makes directory and file", args = { "ann", keys = { a, b } },
    given = { root, ann, home, { "file.stat", "/home/ann/.ssh", { kind = "absent" } },
      { "file.stat", path, { kind = "absent" } }, { "file.digest", path, false } },
    title = "the keys of ann", diff = "@@ -0,0 +1,2 @@\n+" .. a .. "\n+" .. b },
  { "authorized_keys.keys", "adds one and keeps others", args = { "ann", keys = a },
    given = has("# mine\n" .. b .. "\n"), diff = "@@ -1,2 +1,3 @@\n # mine\n " .. b .. "\n+" .. a },
  { "authorized_keys.keys", "another comment", args = { "ann", keys = "ssh-ed25519 AAAAa new" },
    given = has(a .. "\n"), diff = "@@ -1,1 +1,1 @@\n-" .. a .. "\n+ssh-ed25519 AAAAa new" },
  { "authorized_keys.keys", "only these", args = { "ann", keys = a, exclusive = true },
    given = has(a .. "\n" .. b .. "\n"), diff = "@@ -1,2 +1,1 @@\n " .. a .. "\n-" .. b },
  { "authorized_keys.keys", "removes one", args = { "ann", keys = "ssh-rsa AAAAb+/==",
    state = "absent" }, given = has(a .. "\n" .. b .. "\n"),
    diff = "@@ -1,2 +1,1 @@\n " .. a .. "\n-" .. b },
  { "authorized_keys.keys", "is there", args = { "ann", keys = a }, same = "already as asked",
    given = has(a .. "\n", "6b059640ef0d07d2221d53e7f16ed79bc2df423aafddcad04d4c5a390fbac37f") },
  { "authorized_keys.keys", "none is there to remove", same = "no key",
    args = { "ann", keys = a, state = "absent" },
    given = { root, ann, { "file.stat", path, { kind = "absent" } } } },
  { "authorized_keys.keys", "the keys are elsewhere", args = { "ann", keys = a },
    given = { root, ann, home, dir, { "file.stat", path, { kind = "link", target = "/k" } } },
    refuses = path .. " is a link to /k, and would be replaced" },
  { "authorized_keys.keys", "there is no such user", args = { "ann", keys = a },
    given = { { "user.account", "ann", false } }, refuses = "there is no user ann" },
  { "authorized_keys.keys", "not a key", args = { "ann", keys = "hello" }, refuses =
    "not a public key", given = has "" },
}
