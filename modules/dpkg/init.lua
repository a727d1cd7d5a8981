--- Packages from files: for hosts that can reach no repository.

local kb = require "kb"
local plan = require "modules.dpkg.plan"

local M = {}

--- Packages of .deb files that lie in a directory on the host.
-- They are installed in one transaction, in the order that their dependencies ask for, without
-- any repository: whatever they need must be installed or be in the directory. A package that is
-- there in the file's version stays as it is, and a newer one, too.
-- @param dir path: the directory on the host
-- @param packages list: those that are asked for; absent: all that are in the directory. Of the
-- others only what these need is installed
-- @param downgrade boolean: also put an older version in the place of a newer one
-- @param held boolean: whether upgrades leave them alone afterwards
-- @param start boolean: false keeps the services that come with them from being started
-- @param units list: units that the packages bring; they run afterwards (unless start = false) and
-- are enabled
M.packages = kb.op {
  name = "dpkg.packages",
  args = {
    { "dir", "path", "the directory on the host", at = 1, required = true },
    { "packages", "list", "those that are asked for" },
    { "downgrade", "boolean", "also from newer to older", default = false },
    { "held", "boolean", "whether upgrades leave them alone" },
    { "start", "boolean", "false: services are not started", default = true },
    { "units", "list", "units that the packages bring", default = {} },
  },
  facts = plan.questions,
  plan = plan.install,
}

return M
