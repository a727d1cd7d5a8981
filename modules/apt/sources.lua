--- The plan of a repository.

local files = require "modules.files"
local kb = require "kb"

local M = {}

local function check(args)
  if not args.name:find("^[%w_.-]+$") then
    kb.refuse(("%q is not the name of a file of apt"):format(args.name),
      "letters, digits, and . _ -")
  end
  if args.state == "absent" then
    return
  end
  for _, field in ipairs { "uris", "suites" } do
    if not args[field] or #args[field] == 0 then
      kb.refuse(("the repository %s needs its %s"):format(args.name, field))
    end
  end
  for _, suite in ipairs(args.suites) do
    local is_path = suite:sub(-1) == "/"
    if is_path and #args.components > 0 then
      kb.refuse(("the suite %s is a path, which has no components"):format(suite))
    elseif not is_path and #args.components == 0 then
      kb.refuse(("the suite %s needs components, such as main"):format(suite))
    end
  end
end

-- Where the key is; apt tells its form by the end of its name.
local function key_path(args)
  if not args.key then
    return args.key_file
  end
  local armored = not kb.is_secret(args.key) and args.key:find("-----BEGIN PGP", 1, true)
  return ("/etc/apt/keyrings/%s.%s"):format(args.name, armored and "asc" or "gpg")
end

local function path_of(args)
  return ("/etc/apt/sources.list.d/%s.sources"):format(args.name)
end

-- The file's text, in the form of deb822(5).
local function text_of(args)
  local lines = {}
  local function add(field, value)
    if value and value ~= "" then
      lines[#lines + 1] = field .. ": " .. value
    end
  end
  add("Types", table.concat(args.types, " "))
  add("URIs", table.concat(args.uris, " "))
  add("Suites", table.concat(args.suites, " "))
  add("Components", table.concat(args.components, " "))
  add("Architectures", args.architectures and table.concat(args.architectures, " "))
  add("Signed-By", key_path(args))
  add("Trusted", args.trusted and "yes")
  return table.concat(lines, "\n") .. "\n"
end

--- The questions of apt.repository.
function M.questions(args)
  local list = { { "file.stat", path_of(args) }, { "file.digest", path_of(args) },
    { "user.self" }, { "file.stat", "/etc/apt/sources.list.d" } }
  if args.key then
    local key = key_path(args)
    table.move({ { "file.stat", key }, { "file.digest", key },
      { "file.stat", "/etc/apt/keyrings" } }, 1, 3, #list + 1, list)
  end
  return list
end

-- apt's lists are older than the change.
local function outdated(name)
  if name == "apt.index" then
    return true, { age = math.huge, outdated = true }
  elseif name == "apt.candidates" then
    return true, kb.unknown "known once apt's package lists are fetched"
  end
end

local function plans_of(args)
  local key = args.key and key_path(args)
  if args.state == "absent" then
    return { function(ask)
      return kb.plan(files.absent, ask, { path_of(args) })
    end, key and function(ask)
      return kb.plan(files.absent, ask, { key })
    end }
  end
  local plans = { function(ask)
    return kb.plan(files.file, ask, { path_of(args), content = text_of(args), mode = "0644" })
  end }
  if key then
    table.insert(plans, 1, function(ask)
      return kb.plan(files.file, ask, { key, content = args.key, mode = "0644" })
    end)
    table.insert(plans, 1, function(ask)
      return kb.plan(files.directory, ask, { "/etc/apt/keyrings" })
    end)
  end
  return plans
end

--- The plan of apt.repository.
-- @param args table
-- @param fact function
-- @return change, or nil and a reason
function M.repository(args, fact)
  check(args)
  local change, reason = kb.sequence(fact, plans_of(args),
    ("%s the repository %s"):format(args.state == "absent" and "remove" or "write", args.name))
  if change then
    table.insert(change.effect, outdated)
  end
  return change, reason
end

return M
