--- Plans of users and groups.

local home_of = require "modules.users.home"
local kb = require "kb"

local M = {}

local function check_name(name)
  if not name:find("^[%l_][%w_.-]*%$?$") or #name > 32 then
    kb.refuse(("%q cannot be the name of a user or group"):format(name),
      "it begins with a small letter; then letters, digits, and . _ -, 32 at most")
  end
end

local function makes_home(args)
  if args.create_home == nil then
    return not args.system
  end
  return args.create_home
end

--- The questions of users.user.
function M.user_questions(args)
  local list = { { "user.account", args.name } }
  if args.password then
    list[2] = { "user.password", args.name }
  end
  for _, group in ipairs(args.groups or {}) do
    list[#list + 1] = { "group.entry", group }
  end
  if args.group then
    list[#list + 1] = { "group.entry", args.group }
  end
  if args.state == "present" and makes_home(args) then
    list[#list + 1] = { "user.skeleton" }
    list[#list + 1] = { "file.stat", args.home or "/home/" .. args.name }
  end
  return list
end

local function set_of(list)
  local set = {}
  for _, word in ipairs(list) do
    set[word] = true
  end
  return set
end

local function check_groups(args, fact)
  local groups = table.move(args.groups or {}, 1, #(args.groups or {}), 1, {})
  table.insert(groups, args.group)
  for _, group in ipairs(groups) do
    if not fact("group.entry", group) then
      kb.missing(fact, ("there is no group %s for the user %s"):format(group, args.name),
        "make it first: users.group")
    end
  end
end

-- The groups a user will be in: sorted names, the primary one among them.
local function groups_after(args, primary, now)
  local set = set_of(args.groups or {})
  if not args.exact_groups or not args.groups then
    for _, group in ipairs(now) do
      set[group] = true
    end
  end
  set[primary] = true
  local list = {}
  for group in pairs(set) do
    list[#list + 1] = group
  end
  table.sort(list)
  return list
end

local function supplementary(groups, primary)
  local list = {}
  for _, group in ipairs(groups) do
    list[#list + 1] = group ~= primary and group or nil
  end
  return table.concat(list, ",")
end

-- The password's hash goes by stdin, where nobody else can see it.
local function set_password(args, fact, change)
  if args.password and fact("user.password", args.name) ~= kb.digest(args.password) then
    change.actions[#change.actions + 1] = { run = "chpasswd -e",
      stdin = args.name .. ":" .. args.password .. "\n" }
    change.parts[#change.parts + 1] = "password"
    table.insert(change.effect, { "user.password", args.name, kb.digest(args.password) })
  end
end

local function option(words, flag, value)
  if value ~= nil and value ~= "" then
    words[#words + 1] = flag
    words[#words + 1] = tostring(value)
  end
end

local function creation(args, fact, change)
  local primary = args.group or args.name
  local groups = groups_after(args, primary, {})
  local create = makes_home(args)
  local words = { "useradd", create and "-m" or "-M" }
  option(words, "-u", args.uid)
  option(words, "-g", args.group)
  words[#words + 1] = not args.group and "-U" or nil
  option(words, "-G", supplementary(groups, primary))
  option(words, "-c", args.comment)
  option(words, "-d", args.home)
  option(words, "-s", args.shell)
  words[#words + 1] = args.system and "-r" or nil
  table.insert(change.actions, kb.words(words) .. " -- " .. kb.quote(args.name))
  local soon = kb.unknown "known once the user is made"
  local home = args.home or "/home/" .. args.name
  table.insert(change.effect, { "user.account", args.name, { uid = args.uid or soon,
    group = primary, groups = groups, comment = args.comment or "", home = home,
    shell = args.shell or soon } })
  if not args.group then
    table.insert(change.effect, { "group.entry", args.name, { gid = soon, members = {} } })
  end
  if create then
    home_of.add(change.effect, fact, { name = args.name, group = primary, home = home })
  end
end

-- Groups that got or lost a member.
local function regrouped(args, fact, change)
  for _, group in ipairs(args.groups or {}) do
    table.insert(change.effect, { "group.entry", group, { gid = rawget(fact("group.entry", group),
      "gid"), members = kb.unknown "known once the user is in its groups" } })
  end
end

-- What usermod is to change: its words, the names of what differs, and the account afterwards.
local function modification(args, now)
  local words, parts, after = { "usermod" }, {}, {}
  for field, value in pairs(now) do
    after[field] = value
  end
  local function set(field, flag, value, text)
    if value ~= nil and rawget(now, field) ~= value then
      option(words, flag, text or value)
      parts[#parts + 1], after[field] = field, value
    end
  end
  set("uid", "-u", args.uid)
  set("group", "-g", args.group)
  set("comment", "-c", args.comment)
  set("home", "-d", args.home)
  set("shell", "-s", args.shell)
  local groups = groups_after(args, after.group, now.groups)
  if args.groups and table.concat(groups, " ") ~= table.concat(now.groups, " ") then
    words[#words + 1], words[#words + 2] = "-G", supplementary(groups, after.group)
    parts[#parts + 1] = "groups"
  end
  after.groups = groups
  return words, parts, after
end

local function removal(args, now)
  if not now then
    return nil, "there is no such user"
  end
  local home = now.home
  local effect = { { "user.account", args.name, false },
    -- a group of the user's own goes, too, when nobody else is in it
    { "group.entry", args.name, kb.unknown("known once the user is removed") } }
  if args.remove_home then
    table.insert(effect, { "file.exists", home, false })
    table.insert(effect, { "file.stat", home, { kind = "absent" } })
  end
  return { title = "remove the user " .. args.name, effect = effect,
    actions = { ("userdel %s-- %s"):format(args.remove_home and "-r " or "",
      kb.quote(args.name)) } }
end

--- The plan of users.user.
-- @param args table
-- @param fact function
-- @return change, or nil and a reason
function M.user(args, fact)
  check_name(args.name)
  local now = fact("user.account", args.name)
  if args.state == "absent" then
    return removal(args, now)
  end
  check_groups(args, fact)
  local change = { actions = {}, effect = {}, parts = {} }
  if not now then
    creation(args, fact, change)
  else
    local words, parts, after = modification(args, now)
    change.parts = parts
    if #parts > 0 then
      change.actions[1] = kb.words(words) .. " -- " .. kb.quote(args.name)
      change.effect[1] = { "user.account", args.name, after }
    end
  end
  if #change.actions > 0 then
    regrouped(args, fact, change)
  end
  set_password(args, fact, change)
  if #change.actions == 0 then
    return nil, "the user is as asked"
  end
  change.title = now and ("user %s: %s"):format(args.name, table.concat(change.parts, ", "))
    or "make the user " .. args.name
  return change
end

--- The plan of users.group.
-- @param args table
-- @param fact function
-- @return change, or nil and a reason
function M.group(args, fact)
  check_name(args.name)
  local now, name = fact("group.entry", args.name), kb.quote(args.name)
  if args.state == "absent" then
    if not now then
      return nil, "there is no such group"
    end
    return { title = "remove the group " .. args.name, actions = { "groupdel -- " .. name },
      effect = { { "group.entry", args.name, false } } }
  elseif not now then
    local words = { "groupadd", args.system and "-r" or nil }
    option(words, "-g", args.gid)
    return { title = "make the group " .. args.name,
      actions = { kb.words(words) .. " -- " .. name },
      effect = { { "group.entry", args.name, { members = {},
        gid = args.gid or kb.unknown "known once the group is made" } } } }
  elseif args.gid and now.gid ~= args.gid then
    return { title = ("group %s: number %d"):format(args.name, args.gid),
      actions = { ("groupmod -g %d -- %s"):format(args.gid, name) },
      effect = { { "group.entry", args.name, { gid = args.gid, members = now.members } } } }
  end
  return nil, "the group is as asked"
end

return M
