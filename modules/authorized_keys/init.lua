--- The keys that may log in as a user.

local kb = require "kb"
local plan = require "modules.authorized_keys.plan"

local M = {}

--- Public keys in ~/.ssh/authorized_keys of a user.
-- A key is known by its type and data: one that is there with another comment or other options is
-- replaced. Other lines of the file stay, unless `exclusive`.
-- @param user string: whose; the user must exist
-- @param keys list: lines as in authorized_keys(5): options, type, data, comment
-- @param exclusive boolean: no other key may log in
-- @param state string: present, or absent: these keys may not log in any more
M.keys = kb.op {
  name = "authorized_keys.keys",
  args = {
    { "user", "string", "whose", at = 1, required = true },
    { "keys", "list", "the keys, a line each", required = true },
    { "exclusive", "boolean", "no other key may log in", default = false },
    { "state", { "present", "absent" }, "whether they may log in", default = "present" },
  },
  facts = function(args)
    return { { "user.account", args.user }, { "user.self" } }
  end,
  plan = plan.keys,
}

return M
