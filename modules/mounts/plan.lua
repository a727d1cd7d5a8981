--- The plan of a mount.

local facts = require "modules.mounts.facts"
local files = require "modules.files"
local kb = require "kb"

local M = {}

local FSTAB = "/etc/fstab"

-- A field of fstab cannot hold blanks.
local function field(text)
  return (text:gsub("[ \t\n\\]", function(c)
    return ("\\%03o"):format(c:byte())
  end))
end

local function line_of(args)
  return ("%s %s %s %s 0 %d"):format(field(args.source), field(args.path), args.type,
    table.concat(args.options, ","), args.pass)
end

-- fstab with the line of the path as it should be; nil takes it out.
local function edited(text, path, wanted)
  local lines = {}
  for line in text:gmatch("[^\n]+") do
    local at = line:match("^%s*[^#%s]%S*%s+(%S+)")
    if at == field(path) then
      line, wanted = wanted, nil
    end
    lines[#lines + 1] = line
  end
  lines[#lines + 1] = wanted
  return table.concat(lines, "\n") .. "\n"
end

local function same_lines(a, b)
  return a:gsub("\n+", "\n") == b:gsub("\n+", "\n")
end

local function fstab(args)
  return function(ask)
    local old = files.text(FSTAB, ask)
    local keep = args.boot and args.state ~= "absent"
    local new = edited(old, args.path, keep and line_of(args) or nil)
    if same_lines(new, old) or new == "\n" and old == "" then
      return nil, FSTAB .. " is as asked"
    end
    return kb.plan(files.file, ask, { FSTAB, content = new })
  end
end

local function directory(args)
  return function(ask)
    if args.state ~= "mounted" or ask("file.stat", args.path).kind == "directory" then
      return nil, "there"
    end
    return kb.plan(files.directory, ask, { args.path })
  end
end

local opposites = { rw = "ro", exec = "noexec", suid = "nosuid", dev = "nodev", async = "sync" }

-- The options that can be compared: by name, whether the mount has them.
local function wanted_flags(options)
  local known, wanted = {}, {}
  for _, flag in ipairs(facts.flags) do
    known[flag] = true
  end
  for _, option in ipairs(options) do
    if known[option] then
      wanted[option] = true
    elseif opposites[option] then
      wanted[opposites[option]] = false
    end
  end
  return wanted
end

local function has_flags(now, wanted)
  for flag, is in pairs(wanted) do
    if now.options[flag] ~= is then
      return false
    end
  end
  return true
end

local function has_option(args, name)
  for _, option in ipairs(args.options) do
    if option == name or option == "r" .. name then
      return true
    end
  end
  return false
end

-- The directory that is seen at the path is another one now.
local function directory_after(path)
  local soon = kb.unknown("known once it is seen at " .. path)
  return { "file.stat", path, { kind = "directory", mode = soon, owner = soon, group = soon } }
end

-- What is below the path is another file system's.
local function below(path, kind)
  return function(name, of)
    if name:find("^file%.") and type(of) == "string" and of:sub(1, #path + 1) == path .. "/" then
      if kind == "tmpfs" then
        return true, name == "file.stat" and { kind = "absent" } or false
      end
      return true, kb.unknown("known once " .. path .. " is mounted")
    end
  end
end

local function mounted(args)
  return function(ask)
    local now, bind = ask("mount.at", args.path), has_option(args, "bind")
    local wanted = wanted_flags(args.options)
    local foretold = not bind and args.type ~= "auto" and args.type ~= "none"
    local soon = kb.unknown "known once it is mounted"
    local path, options = kb.quote(args.path), kb.quote(table.concat(args.options, ","))
    local after = { "mount.at", args.path, { type = foretold and args.type or soon,
      source = soon, root = soon, options = wanted } }
    if not now then
      local how = args.boot and "" or ("-t %s -o %s -- %s "):format(kb.quote(args.type), options,
        kb.quote(args.source))
      return { title = "", actions = { ("mount %s%s"):format(how, path) },
        effect = { after, directory_after(args.path), below(args.path, args.type) } }
    elseif foretold and now.type ~= args.type then
      kb.refuse(("a file system of type %s is mounted at %s"):format(now.type, args.path),
        "unmount it first: mounts.mount with state = \"absent\"")
    elseif has_flags(now, wanted) then
      return nil, "already mounted"
    end
    return { title = "", effect = { after },
      actions = { ("mount -o remount,%s -- %s"):format(options, path) } }
  end
end

local function unmounted(args)
  return function(ask)
    if not ask("mount.at", args.path) then
      return nil, "not mounted"
    end
    return { title = "", actions = { "umount -- " .. kb.quote(args.path) },
      effect = { { "mount.at", args.path, false }, directory_after(args.path),
        below(args.path) } }
  end
end

local function check(args)
  for _, name in ipairs(args.state ~= "absent" and { "source", "type" } or {}) do
    if not args[name] then
      kb.refuse(("mounts.mount needs '%s'"):format(name))
    end
  end
  for _, option in ipairs(args.options) do
    if tostring(option):find("[%s,]") then
      kb.refuse(("%q is not one option of a mount"):format(option))
    end
  end
end

local verbs = { mounted = "mount", unmounted = "unmount", absent = "unmount and forget" }

--- The plan of mounts.mount.
-- @param args table
-- @param fact function
-- @return change, or nil and a reason
function M.mount(args, fact)
  check(args)
  local plans = { directory(args), fstab(args), mounted(args) }
  if args.state ~= "mounted" then
    plans = { unmounted(args), fstab(args) }
  end
  return kb.sequence(fact, plans, ("%s %s"):format(verbs[args.state], args.path))
end

return M
