--- Units of systemd: their files, and what state they are in.
-- Restarts are derived from state: a unit is restarted when a file that it watches was changed
-- after it last started. A run that is ended between the change and the restart loses nothing, and
-- a second run restarts nothing.

local kb = require "kb"
local definition = require "modules.systemd.definition"
local explain = require "modules.evidence"
local plan = require "modules.systemd.plan"

local M = {}

local JOURNAL = [[# the end of the journal of %s (stacks of Go are left out)
journalctl --no-pager --output=short-iso --lines=1000 --unit=%s | grep -vE '\]: %s' | tail -n 20]]

local function evidence(args)
  local name = plan.full_name(args.name)
  local unit = kb.quote(name)
  return { JOURNAL:format(name, unit, explain.stack),
    "systemctl status --no-pager --full --lines=0 -- " .. unit }
end

--- A unit in the state that is asked for.
-- Beside the files in `watch` it watches its own file and drop-ins below /etc/systemd. What is not
-- asked for stays as it is. A failure shows the end of the unit's journal and its status.
--
--     systemd.unit(host, { "app", state = "running", enabled = true, watch = "/etc/app.conf" })
--
-- @param name string: the unit; ".service" may be left out
-- @param state string: running or stopped
-- @param enabled boolean: whether it starts at boot
-- @param masked boolean: whether nothing can start it
-- @param watch list: files and directories; it is restarted when one of them was changed after it
-- started
-- @param reload list: files and directories; it is told to reload when one of them was changed
-- after it started or last reloaded
M.unit = kb.op {
  name = "systemd.unit",
  args = {
    { "name", "string", "the unit", at = 1, required = true },
    { "state", { "running", "stopped" }, "whether it runs" },
    { "enabled", "boolean", "whether it starts at boot" },
    { "masked", "boolean", "whether nothing can start it" },
    { "watch", "list", "what needs a restart when it changes", default = {} },
    { "reload", "list", "what needs a reload when it changes", default = {} },
  },
  facts = plan.questions,
  plan = plan.unit,
  evidence = evidence,
}

--- The file of a unit in /etc/systemd/system; systemd reads it again when it was changed.
-- @param name string: the unit, with its suffix
-- @param content content: the text of the file
-- @param state string: present or absent; one that goes is disabled first
-- @param mode mode: its permission bits
M.unit_file = kb.op {
  name = "systemd.unit_file",
  args = {
    { "name", "string", "the unit, with its suffix", at = 1, required = true },
    { "content", "content", "the text of the file", unknown = true },
    { "state", { "present", "absent" }, "whether it is there", default = "present" },
    { "mode", "mode", "its permission bits", default = "0644" },
  },
  facts = definition.unit_file_facts,
  plan = definition.unit_file,
  evidence = evidence,
}

--- A drop-in: a file that adds to the file of a unit; systemd reads it again when it was changed.
-- @param unit string: the unit that it adds to; ".service" may be left out
-- @param name string: what the drop-in is called, without ".conf"
-- @param content content: the text of the file
-- @param state string: present or absent
-- @param mode mode: its permission bits
M.drop_in = kb.op {
  name = "systemd.drop_in",
  args = {
    { "unit", "string", "the unit that it adds to", at = 1, required = true },
    { "name", "string", "what the drop-in is called", required = true },
    { "content", "content", "the text of the file", unknown = true },
    { "state", { "present", "absent" }, "whether it is there", default = "present" },
    { "mode", "mode", "its permission bits", default = "0644" },
  },
  facts = definition.drop_in_facts,
  plan = definition.drop_in,
}

return M
