--- Packages from repositories.

local kb = require "kb"
local plan = require "modules.apt.plan"
local sources = require "modules.apt.sources"
local transaction = require "modules.apt.transaction"

local M = {}

--- Packages, all of them in one transaction.
-- Nothing is asked while they are configured, and configuration files that were changed stay. A
-- lock that another apt holds is waited for, five minutes at most.
--
--     apt.packages(host, { { "nginx", "etcd-server=3.4.*" }, units = "nginx.service" })
--
-- @param packages list: names, or "name=version" where the version may end in *
-- @param state string: present, absent, or latest: the version that apt would install
-- @param recommends boolean: also what they recommend
-- @param held boolean: whether upgrades leave them alone afterwards
-- @param purge boolean: with state absent, remove their configuration, too
-- @param start boolean: false keeps the services that come with them from being started
-- @param units list: units that the packages bring, for a dry run: they run afterwards (unless
-- start = false) and are enabled
-- @param effect table: other facts as they will be: { { "file.stat", "/etc/x", { … } }, … }
M.packages = kb.op {
  name = "apt.packages",
  args = {
    { "packages", "list", "names, or name=version", at = 1, required = true },
    { "state", { "present", "absent", "latest" }, "whether they are there", default = "present" },
    { "recommends", "boolean", "also what they recommend", default = false },
    { "held", "boolean", "whether upgrades leave them alone" },
    { "purge", "boolean", "remove their configuration, too", default = false },
    { "start", "boolean", "false: services are not started", default = true },
    { "units", "list", "units that the packages bring", default = {} },
    { "effect", "table", "other facts as they will be" },
    { "timeout", "duration", "how long it may take", default = "30m" },
  },
  facts = plan.questions,
  plan = plan.packages,
}

--- Shell text that declares `finish_dpkg`, for scripts of other modules: what an installation that
-- was broken off has left half configured is finished, once the dpkg that is at work has let go.
M.FINISH = transaction.FINISH

--- Package lists that are not too old, and not older than the last change of a repository.
-- @param max_age duration: how old they may be
M.updated = kb.op {
  name = "apt.updated",
  args = { { "max_age", "duration", "how old they may be", at = 1, default = "24h" } },
  facts = function()
    return { { "apt.index" } }
  end,
  plan = plan.updated,
}

--- A repository of packages: a file in /etc/apt/sources.list.d, and the key that signs it.
-- Its packages can be installed after apt.updated.
-- @param name string: what its file is called
-- @param uris list: where it is
-- @param suites list: such as "bookworm"; one that ends in "/" is a path and has no components
-- @param components list: such as "main"
-- @param types list: "deb", "deb-src"
-- @param architectures list: those to take; absent: those of the host
-- @param key content: the public key that signs it, as text or binary; it is put in
-- /etc/apt/keyrings
-- @param key_file path: a key that is on the host already
-- @param trusted boolean: true takes packages that nobody signed
-- @param state string: present or absent
M.repository = kb.op {
  name = "apt.repository",
  args = {
    { "name", "string", "what its file is called", at = 1, required = true },
    { "uris", "list", "where it is" }, { "suites", "list", 'such as "bookworm"' },
    { "components", "list", 'such as "main"', default = {} },
    { "types", "list", '"deb", "deb-src"', default = { "deb" } },
    { "architectures", "list", "those to take" },
    { "key", "content", "the public key that signs it" },
    { "key_file", "path", "a key that is on the host already" },
    { "trusted", "boolean", "takes packages that nobody signed" },
    { "state", { "present", "absent" }, "whether it is there", default = "present" },
  },
  facts = sources.questions,
  plan = sources.repository,
}

--- A change that installs, removes and holds packages: for plans of other operations.
-- @param given table: install (list of { name, version,
-- pin = what follows "=" for apt-get, now = its dpkg.package }), remove
-- (list of the same), purge, hold (list of the same: only the hold changes), held, recommends,
-- downgrade, start, units; for other sources prepare (shell text; what $t names is
-- removed in the end) and options (of apt-get)
-- @return change
function M.transaction(given)
  return transaction.change(given)
end

return M
