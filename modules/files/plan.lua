--- Plans for files: from what is there and what is asked to commands and effects.

local kb = require "kb"
local effect_of = require "modules.files.effect"

local M = {}

--- Arguments of everything that has an owner.
M.attributes = {
  { "owner", "string", "the user it belongs to" },
  { "group", "string", "the group it belongs to" },
  { "mode", "mode", "its permission bits" },
}

--- Arguments of everything that is written.
M.written = {
  M.attributes[1], M.attributes[2], M.attributes[3],
  { "validate", "string", "a command that must accept the new file, named by %s" },
  { "backup", "boolean", "keep the old one beside it" },
  { "sensitive", "boolean", "do not show the difference" },
}

--- The directory that a path is in.
-- @param path string
-- @return string
function M.parent(path)
  local dir = path:match("^(.*)/[^/]+$")
  return dir == "" and "/" or dir
end

local parent = M.parent

local function octal(mode)
  return ("%04o"):format(mode)
end

-- The commands that give what is at path its owner and mode, and what will then be there.
local function settle(args, now, path)
  local commands, after = {}, {}
  for k, v in pairs(now) do
    after[k] = v
  end
  local owner, group = args.owner or now.owner, args.group or now.group
  if owner ~= now.owner or group ~= now.group then
    commands[1] = ("chown -h -- %s:%s %s"):format(kb.quote(owner), kb.quote(group), kb.quote(path))
    after.owner, after.group = owner, group
  end
  if args.mode and args.mode ~= now.mode or args.mode and #commands > 0 then
    -- also after chown, which clears the set-user-id bit
    commands[#commands + 1] = ("chmod %s -- %s"):format(octal(args.mode), kb.quote(path))
    after.mode = args.mode
  end
  return commands, after
end

local function attribute_title(path, now, after)
  local parts = {}
  if after.owner ~= now.owner or after.group ~= now.group then
    parts[#parts + 1] = ("owner %s:%s"):format(after.owner, after.group)
  end
  if after.mode ~= now.mode then
    parts[#parts + 1] = "mode " .. octal(after.mode)
  end
  return ("%s: %s"):format(path, table.concat(parts, ", "))
end

-- Effects for the directories above path that do not exist yet.
local function missing_parents(path, fact, template)
  local effect = {}
  local dir = parent(path)
  while dir ~= "/" do
    local now = fact("file.stat", dir)
    if now.kind ~= "absent" then
      if now.kind ~= "directory" and now.kind ~= "link" then
        kb.refuse(("%s is a %s, not a directory"):format(dir, now.kind))
      end
      break
    end
    effect[#effect + 1] = { "file.stat", dir, template }
    dir = parent(dir)
  end
  return effect
end

--- Plan of files.directory.
function M.directory(args, fact)
  local now = fact("file.stat", args.path)
  if now.kind == "directory" then
    local commands, after = settle(args, now, args.path)
    if #commands == 0 then
      return nil, "already a directory as asked"
    end
    return { title = attribute_title(args.path, now, after), actions = commands,
      effect = { { "file.stat", args.path, after }, effect_of.touched(args.path) } }
  elseif now.kind ~= "absent" then
    kb.refuse(("%s is a %s, not a directory"):format(args.path, now.kind),
      "remove it first, if it may go: files.absent")
  end
  local self = fact("user.self")
  local made = { kind = "directory", mode = tonumber("755", 8), owner = self.name,
    group = self.group }
  local effect = missing_parents(args.path, fact, made)
  local wanted = { owner = args.owner, group = args.group, mode = args.mode or made.mode }
  local commands, after = settle(wanted, made, args.path)
  table.insert(commands, 1, ("umask 022; mkdir -p -- %s"):format(kb.quote(args.path)))
  effect[#effect + 1] = { "file.stat", args.path, after }
  effect[#effect + 1] = effect_of.touched(args.path)
  return { title = ("create directory %s"):format(args.path), effect = effect,
    actions = { table.concat(commands, " && ") } }
end

--- Facts of everything that is written.
function M.write_facts(args)
  return { { "file.stat", args.path }, { "file.digest", args.path }, { "user.self" },
    { "file.stat", parent(args.path) } }
end

--- Facts of everything that is edited.
function M.edit_facts(args)
  return { { "file.stat", args.path }, { "file.content", args.path }, { "user.self" },
    { "file.stat", parent(args.path) } }
end

local function check_parent(path, now, fact)
  if now.kind == "absent" and fact("file.stat", parent(path)).kind == "absent" then
    kb.missing(fact, ("the directory %s does not exist"):format(parent(path)),
      "make it first: files.directory")
  end
end

local function check_place(args, fact)
  local now = fact("file.stat", args.path)
  if now.kind == "directory" then
    kb.refuse(args.path .. " is a directory, not a file")
  end
  check_parent(args.path, now, fact)
  return now
end

local function attributes_of(args, now, fact)
  local self = fact("user.self")
  local is_file = now.kind == "file"
  return { kind = "file", mode = args.mode or is_file and now.mode or tonumber("644", 8),
    owner = args.owner or is_file and now.owner or self.name,
    group = args.group or is_file and now.group or self.group }
end

local TOO_LARGE = 262144

local function difference(args, now, fact, new)
  if args.sensitive or kb.is_secret(new) then
    return "(the content is secret)"
  end
  if new == nil or kb.is_unknown(new) or #new > TOO_LARGE or new:find("\0", 1, true) then
    return nil
  end
  local old = now.kind == "file" and fact("file.content", args.path) or ""
  return not old:find("\0", 1, true) and kb.diff(old, new) or nil
end

--- The digest and size of what is to be written; unknown when it is.
-- @param source table: as M.write takes it
-- @return digest string, size integer
function M.measured(source)
  if source.digest then
    return source.digest
  elseif source.file then
    return kb.file_digest(source.file)
  elseif kb.is_unknown(source.content) then
    return source.content, source.content
  end
  local text = source.content
  return kb.digest(text), not kb.is_secret(text) and #text or nil
end

--- The facts after a file was written.
-- @param args table
-- @param source table: as M.write takes it
-- @param after table: what file.stat will say
-- @param digest string
-- @return effect
function M.written_effect(args, source, after, digest)
  local content = kb.reveal(source.content) -- as the host itself would answer; masked when shown
  if content == nil or kb.is_unknown(content) then
    content = kb.unknown("what was written to " .. args.path)
  end
  return { { "file.stat", args.path, after }, { "file.digest", args.path, digest },
    { "file.content", args.path, content }, effect_of.touched(args.path) }
end

-- The new text, for people; nil when it is not at hand or too much.
local function text_of_source(source, size)
  if source.content or source.digest or size > TOO_LARGE then
    return source.content
  end
  return kb.read_file(source.file)
end

--- Plan of everything that writes a whole file.
-- @param args table
-- @param fact function
-- @param source table: content (string or secret), file (a local path), or digest and actions
-- (function(attributes) -> list)
function M.write(args, fact, source)
  local now = check_place(args, fact)
  local digest, size = M.measured(source)
  local after = attributes_of(args, now, fact)
  after.size = size
  if not kb.is_unknown(digest) and now.kind == "file"
    and fact("file.digest", args.path) == digest then
    after.size = now.size
    local commands, settled = settle(args, now, args.path)
    if #commands == 0 then
      return nil, "already as asked"
    end
    return { title = attribute_title(args.path, now, settled), actions = commands,
      effect = { { "file.stat", args.path, settled }, effect_of.touched(args.path) } }
  end
  return {
    title = (now.kind == "absent" and "create " or now.kind == "file" and "change "
      or "replace " .. now.kind .. " ") .. args.path,
    diff = difference(args, now, fact, kb.is_unknown(digest) and source.content
      or text_of_source(source, size or 0)),
    actions = source.actions and source.actions(after)
      or { { put = { path = args.path, content = source.content, file = source.file,
      owner = after.owner, group = after.group, mode = after.mode, validate = args.validate,
      backup = args.backup and now.kind == "file" } } },
    effect = M.written_effect(args, source, after, digest),
  }
end

--- Plan of a file whose content does not matter.
function M.exists(args, fact)
  local now = check_place(args, fact)
  if now.kind == "absent" then
    return M.write(args, fact, { content = "" })
  end
  local commands, after = settle(args, now, args.path)
  if #commands == 0 then
    return nil, "already there as asked"
  end
  return { title = attribute_title(args.path, now, after), actions = commands,
    effect = { { "file.stat", args.path, after }, effect_of.touched(args.path) } }
end

-- Of a file that a package is going to bring: whether it has to be changed is not known.
local function edit_of_missing(args, doubt)
  local soon = kb.unknown "known once it is there"
  return { title = "change " .. args.path, perhaps = doubt,
    effect = { { "file.content", args.path, soon }, effect_of.touched(args.path) } }
end

--- See files.text.
function M.text(path, fact)
  local now = fact("file.stat", path)
  if now.kind == "absent" then
    return ""
  elseif now.kind == "link" then
    kb.refuse(("%s is a link to %s, and would be replaced"):format(path, now.target),
      "edit the file that it leads to")
  elseif now.kind ~= "file" then
    kb.refuse(("%s is a %s, not a file"):format(path, now.kind))
  end
  return fact("file.content", path) or kb.refuse(("%s cannot be edited: it is larger than 256 KiB, "
    .. "or %s may not read it"):format(path, fact("user.self").name))
end

--- Plan of everything that changes a text.
-- @param args table
-- @param fact function
-- @param change function(text, args) -> text
function M.edit(args, fact, change)
  local now = check_place(args, fact)
  if now.kind == "absent" and not args.create then
    return edit_of_missing(args, kb.missing(fact, args.path .. " does not exist",
      "say create = true if it should be made"))
  end
  local old = M.text(args.path, fact)
  local new = change(old, args)
  if new == old and now.kind == "file" then
    return M.exists(args, fact)
  end
  return M.write(args, fact, { content = new })
end

--- Plan of files.link.
function M.link(args, fact)
  local now = fact("file.stat", args.path)
  if now.kind == "link" and now.target == args.to then
    return nil, "already points there"
  end
  if now.kind == "directory" or now.kind ~= "absent" and now.kind ~= "link" and not args.force then
    kb.refuse(("%s is a %s, not a link"):format(args.path, now.kind),
      now.kind == "file" and "say force = true if the link may replace it" or nil)
  end
  check_parent(args.path, now, fact)
  local path, self = kb.quote(args.path), fact("user.self")
  local temp = kb.quote(args.path .. ".kbrun-link")
  return {
    title = ("link %s -> %s"):format(args.path, args.to),
    diff = now.kind == "link" and kb.diff(now.target .. "\n", args.to .. "\n") or nil,
    -- made beside it and renamed, so that there is no moment without a link
    actions = { ("rm -f -- %s && ln -s -- %s %s && mv -fT -- %s %s"):format(temp,
      kb.quote(args.to), temp, temp, path) },
    effect = { { "file.stat", args.path, { kind = "link", target = args.to, owner = self.name,
      group = self.group, mode = tonumber("777", 8) } }, effect_of.touched(args.path) },
  }
end

--- Plan of files.absent.
function M.absent(args, fact)
  local now = fact("file.stat", args.path)
  if now.kind == "absent" then
    return nil, "not there"
  end
  if args.path == "/" then
    kb.refuse("/ is not removed")
  end
  local command = now.kind ~= "directory" and "rm -f --" or args.recurse and "rm -rf --"
    or "rmdir --"
  return { title = ("remove %s %s"):format(now.kind, args.path),
    actions = { ("%s %s"):format(command, kb.quote(args.path)) },
    effect = { effect_of.gone(args.path), { "file.stat", args.path, { kind = "absent" } } } }
end

return M
