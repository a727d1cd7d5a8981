--- Users and groups of a host.

local kb = require "kb"
local plan = require "modules.users.plan"

local M = {}

--- A user.
-- What is not asked for stays as it is, and a new user gets Debian's usual values.
-- @param name string: the login name
-- @param uid integer: the number
-- @param group string: the primary group, which must exist; absent for a new user: one of its own
-- @param groups list: further groups, which must exist
-- @param exact_groups boolean: leave all further groups that `groups` does not name
-- @param comment string: the full name
-- @param home path: the home directory; it is made for a new user
-- @param create_home boolean: whether the home directory of a new user is made; absent: not for a
-- system user
-- @param shell path: the login shell
-- @param system boolean: a new user gets a number from those of the system
-- @param password content: the hash, as crypt(5) writes it, or "!" for none; best a secret
-- @param state string: present or absent
-- @param remove_home boolean: with state absent, remove the home directory and the mail, too
M.user = kb.op {
  name = "users.user",
  args = {
    { "name", "string", "the login name", at = 1, required = true },
    { "uid", "integer", "the number" }, { "group", "string", "the primary group" },
    { "groups", "list", "further groups" },
    { "exact_groups", "boolean", "leave those that are not named", default = false },
    { "comment", "string", "the full name" }, { "home", "path", "the home directory" },
    { "create_home", "boolean", "whether a new user's home is made" },
    { "shell", "path", "the login shell" },
    { "system", "boolean", "a number from those of the system", default = false },
    { "password", "content", "the hash of the password" },
    { "state", { "present", "absent" }, "whether there is such a user", default = "present" },
    { "remove_home", "boolean", "also remove the home directory", default = false },
  },
  facts = plan.user_questions,
  plan = plan.user,
}

--- A group.
-- @param name string: what it is called
-- @param gid integer: the number
-- @param system boolean: a new group gets a number from those of the system
-- @param state string: present or absent
M.group = kb.op {
  name = "users.group",
  args = {
    { "name", "string", "what it is called", at = 1, required = true },
    { "gid", "integer", "the number" },
    { "system", "boolean", "a number from those of the system", default = false },
    { "state", { "present", "absent" }, "whether there is such a group", default = "present" },
  },
  facts = function(args)
    return { { "group.entry", args.name } }
  end,
  plan = plan.group,
}

return M
