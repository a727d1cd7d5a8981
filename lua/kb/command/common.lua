--- What the commands share: exit statuses and sets of options.
local M = {}

--- Exit statuses of kbrun by name: done, usage, unreachable, failed, interrupted,
-- changes and broken.
M.exit = {}

--- The same with their meanings, in order: lists of name, number and words.
M.statuses = {
  { "done", 0, "done" },
  { "usage", 2, "an error in the command line, a playbook or an inventory; no host was contacted" },
  { "unreachable", 3, "a host was unreachable" },
  { "failed", 4, "a host failed" },
  { "interrupted", 5, "interrupted" },
  { "changes", 10, "with --exit-code: there is something to do" },
  { "broken", 70, "a bug in kbrun, no memory, or output that could not be written" },
}
for _, row in ipairs(M.statuses) do
  M.exit[row[1]] = row[2]
end

--- Which hosts there are, and which of them are meant.
M.inventory = {
  group = "Inventory",
  { long = "inventory", short = "i", value = "FILE", list = true,
    help = "read hosts and groups from this YAML or Lua file or directory" },
  { long = "limit", short = "l", value = "PATTERN",
    help = "only hosts that match, such as masters:!m2 or w*" },
}

--- How to reach hosts and become root there.
M.connection = {
  group = "Connection",
  { long = "user", short = "u", value = "NAME", help = "log in as this user" },
  { long = "key", short = "k", value = "FILE", list = true,
    help = "log in with this private key" },
  { long = "ask-password", help = "ask for the login password" },
  { long = "become", short = "b", help = "act as root on hosts where the inventory does not say" },
  { long = "become-password-file", value = "FILE",
    help = "read the password for becoming root from this file" },
  { long = "ask-become-password", short = "K", help = "ask for the password for becoming root" },
  { long = "timeout", value = "TIME", type = "duration", default = 10, min = 0.1,
    help = "give up on a connection that is not there after this time, in seconds" },
  { long = "forks", short = "f", value = "N", type = "integer", default = 50, min = 1,
    help = "work on so many hosts of a play at a time" },
}

--- What is printed, and how.
M.output = {
  group = "Output",
  { long = "json", help = "print JSON, for programs" },
  { long = "verbose", short = "v", count = true, help = "say more" },
  { long = "quiet", short = "q", help = "say only what is asked for, and errors" },
  { long = "no-color", help = "print without colour, as with NO_COLOR set" },
}

--- Every command has this one.
M.help = {
  { long = "help", short = "h", help = "explain this command and exit" },
}

--- Some options of a set, for commands that use no others.
-- @param set list of options
-- @param ... strings: long names
-- @return list of options of the same group
function M.only(set, ...)
  local wanted, some = {}, { group = set.group }
  for _, name in ipairs { ... } do
    wanted[name] = true
  end
  for _, option in ipairs(set) do
    some[#some + 1] = wanted[option.long] and option or nil
  end
  return some
end

--- Put sets of options together.
-- @param ... lists of options; their `group` heads them in the help
-- @return list of options, each knowing its group
function M.options(...)
  local all = {}
  for _, set in ipairs({ ... }) do
    for _, option in ipairs(set) do
      local copy = { group = set.group }
      for key, value in pairs(option) do
        copy[key] = value
      end
      all[#all + 1] = copy
    end
  end
  return all
end

return M
