--- Plans of files at places of which a dry run does not know what is there: below a mount that is
--- going to be made, or in an archive that is going to be unpacked. They say what will be true in
--- either case.

local effect_of = require "modules.files.effect"
local kb = require "kb"
local plan = require "modules.files.plan"

local M = {}

local soon = kb.unknown "known once it was looked at"

local function stat(args, kind)
  return { "file.stat", args.path, { kind = kind, owner = args.owner or soon,
    group = args.group or soon, mode = args.mode or soon, size = soon, target = soon } }
end

--- Plan of files.directory.
function M.directory(args, fact)
  return kb.perhaps(fact, function(ask)
    return plan.directory(args, ask)
  end, function()
    return "create directory " .. args.path, { stat(args, "directory"),
      effect_of.touched(args.path) }
  end)
end

--- Plan of everything that writes a whole file; see modules.files.plan.
function M.write(args, fact, source)
  return kb.perhaps(fact, function(ask)
    return plan.write(args, ask, source)
  end, function()
    local _, _, after = table.unpack(stat(args, "file"))
    return "write " .. args.path, plan.written_effect(args, source, after, (plan.measured(source)))
  end)
end

local function file_with(args, content)
  return { stat(args, "file"), { "file.content", args.path, content },
    effect_of.touched(args.path) }
end

--- Plan of a file whose content does not matter.
function M.exists(args, fact)
  return kb.perhaps(fact, function(ask)
    return plan.exists(args, ask)
  end, function()
    return "create " .. args.path, file_with(args, soon)
  end)
end

--- Plan of everything that changes a text; see modules.files.plan.
function M.edit(args, fact, change)
  return kb.perhaps(fact, function(ask)
    return plan.edit(args, ask, change)
  end, function()
    local old = kb.after(fact, function(ask)
      return ask("file.content", args.path)
    end)
    return "change " .. args.path, file_with(args, type(old) == "string" and change(old, args)
      or soon)
  end)
end

--- Plan of files.link.
function M.link(args, fact)
  return kb.perhaps(fact, function(ask)
    return plan.link(args, ask)
  end, function()
    return ("link %s -> %s"):format(args.path, args.to), { { "file.stat", args.path,
      { kind = "link", target = args.to, owner = soon, group = soon, mode = soon } },
      effect_of.touched(args.path) }
  end)
end

--- Plan of files.absent.
function M.absent(args, fact)
  return kb.perhaps(fact, function(ask)
    return plan.absent(args, ask)
  end, function()
    return "remove " .. args.path, { effect_of.gone(args.path),
      { "file.stat", args.path, { kind = "absent" } } }
  end)
end

return M
