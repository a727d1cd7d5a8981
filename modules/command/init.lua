--- Commands, for what no operation describes.
-- A command alone changes something every time. A guard (creates, removes, unless, only_if) says
-- when there is nothing to do, so that a second run does nothing; `effect` says what will be, so
-- that a dry run knows it in later steps.
--
-- A dry run asks the tests of unless and only_if, too, as long as it has foretold no change that
-- could make them come out otherwise. After one it cannot know: the command is shown as one that
-- may run. `reads` says which files the tests look at, so that other changes do not matter.

local kb = require "kb"
local plan = require "modules.command.plan"

local M = {}

--- Shell text, run by sh on the host.
-- Results: out, err (strings) and code. A dry run does not know them, unless `preview` says what to
-- take for them.
--
--     command.run(host, { "ssh-keygen -A", creates = "/etc/ssh/ssh_host_ed25519_key" })
--     command.run(host, { "app migrate", unless = "app migrated", reads = { "/var/lib/app" } })
--
-- @param text string: POSIX shell text
-- @param creates path: what the command makes; it is not run when that is there already
-- @param removes path: what the command removes; it is not run when that is not there
-- @param unless string: a command that only reads; when it succeeds there is nothing to do, and
-- after the run it must succeed
-- @param only_if string: a command that only reads; when it fails there is nothing to do
-- @param reads list: the files and directories that unless and only_if look at, and nothing else
-- @param stdin content: what the command reads; the place for secrets
-- @param env map: environment variables; never secrets, which others on the host could see
-- @param cwd path: where it is run; the tests of unless and only_if are not run there
-- @param ok list: exit statuses that are no failure
-- @param preview map: what a dry run takes for the results: { out = "…" }
-- @param effect table: facts as they will be: { { "file.stat", "/x", { … } }, … }; {}: as they are
-- @param private boolean: what it prints is shown to nobody, such as a token; make a kb.secret of
-- what is passed on
-- @param title string: what it does, in few words; absent: the beginning of the text
M.run = kb.op {
  name = "command.run",
  args = {
    { "text", "string", "POSIX shell text", at = 1, required = true, unknown = true },
    { "creates", "path", "what it makes" }, { "removes", "path", "what it removes" },
    { "unless", "string", "a test: nothing to do when it succeeds" },
    { "only_if", "string", "a test: nothing to do when it fails" },
    { "reads", "list", "the files that unless and only_if look at" },
    { "stdin", "content", "what the command reads", unknown = true },
    { "env", "map", "environment variables" }, { "cwd", "path", "where it is run" },
    { "ok", "list", "exit statuses that are no failure", default = { 0 } },
    { "preview", "map", "what a dry run takes for the results" },
    { "effect", "table", "facts as they will be" },
    { "private", "boolean", "what it prints is shown to nobody" },
    { "title", "string", "what it does" },
  },
  returns = { "out", "err", "code" },
  facts = plan.questions,
  plan = plan.run,
}

return M
