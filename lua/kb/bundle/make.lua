--- Make a bundle what a declaration says: look what is missing, fetch it, keep what is there.
--
-- What is fetched for the first time is pinned by its digest in bundle.yaml. A pin is for a kind, a
-- name and a version, and holds until the version changes or it is given up by name.
local bundle = require "kb.bundle"
local curl = require "kb.core.curl"
local deb = require "kb.bundle.deb"
local plans = require "kb.bundle.plan"
local program = require "kb.bundle.program"
local store = require "kb.bundle.store"
local sys = require "kb.core.sys"
local task = require "kb.core.task"
local want = require "kb.bundle.want"

local M = {}

-- What the bundle has and the declaration has not. Packages of a closure that is to be worked out
-- anew are judged when that is done.
local function dropped(plan)
  local list, closing = {}, {}
  for _, file in ipairs(plan.closure and plan.closure.debs or {}) do
    closing[file] = true
  end
  for key, item in pairs(plan.old) do
    if not plan.items[key] and item.source ~= "generated" and not plan.coming[key]
      and not (item.kind == "deb" and closing[item.file]) then
      list[#list + 1] = plans.show(item)
    end
  end
  table.sort(list)
  return list
end

local function load_old(plan)
  plan.seen = sys.read_file(bundle.path(plan.dir))
  local manifest, message, code = bundle.load(plan.dir)
  if not manifest and code ~= "ENOENT" then
    plans.fail("%s", message)
  end
  plan.closure = manifest and manifest.closure
  for _, item in ipairs(manifest and manifest.items or {}) do
    plan.old[plans.key(item)] = item
  end
end

local function look(plan)
  load_old(plan)
  want.look(plan)
  plan.dropped = dropped(plan)
  return plan
end

--- See what a bundle lacks; nothing is changed and nothing fetched.
-- @param dir string: the bundle, which need not be there
-- @param wanted table from kb.bundle.declaration
-- @param options table or nil: repin (list of names whose pins are given up; "packages": look for
--   newer ones)
-- @return plan: todo (list of { text, bytes }), dropped (list of texts); or nil, message
function M.plan(dir, wanted, options)
  return plans.refused(look, plans.new(dir, wanted, options and options.repin or {}))
end

-- The items that bundle.yaml is to have now: those of old that are not replaced stay until the end,
-- so that a run that is killed has lost no pin.
local function save(plan, whole)
  local list, seen = {}, {}
  for key, item in pairs(plan.items) do
    seen[key] = true
    list[#list + 1] = item
  end
  for key, item in pairs(whole and {} or plan.old) do
    list[#list + 1] = not seen[key] and item or nil
  end
  return bundle.save(plan.dir, list, plan.closure)
end

local function add(plan, items)
  for _, item in ipairs(items) do
    plan:enforce(item)
    plan.items[plans.key(item)] = item
  end
  return save(plan, false)
end

-- Do one thing, and note what it brought or why it failed.
local function work(plan, todo, failures)
  local items, message = todo.run()
  if items then
    local _
    _, message = plans.refused(add, plan, items)
  end
  if message then
    failures[#failures + 1] = ("%s:\n%s"):format(todo.text, message)
  end
end

-- So many at a time, in their order.
local function work_all(plan, parallel, say)
  local failures, next_one, tasks = {}, 1, {}
  for i = 1, math.min(parallel, #plan.todo) do
    tasks[i] = task.spawn(function()
      while next_one <= #plan.todo do
        local todo = plan.todo[next_one]
        next_one = next_one + 1
        say(todo.text)
        work(plan, todo, failures)
      end
    end)
  end
  for _, one in ipairs(tasks) do
    one:join()
  end
  return failures
end

local function prune(plan)
  local used = {}
  for _, item in pairs(plan.items) do
    for _, blob in ipairs(bundle.blobs_of(item)) do
      used[blob.sha256] = true
    end
  end
  for _, name in ipairs(sys.list(plan.dir .. "/blobs/sha256") or {}) do
    if not used[name] then
      sys.remove(plan.dir .. "/blobs/sha256/" .. name)
    end
  end
  return program.run { "rm", "-rf", "--", plan.dir .. "/parts" }
end

local function finish(plan)
  local list = {}
  for _, item in pairs(plan.items) do
    list[#list + 1] = item
  end
  local index, message, code = deb.index(plan.dir, list)
  if message then
    return nil, message, code
  elseif index then
    plan.items[plans.key(index)] = index
  end
  local ok
  ok, message, code = save(plan, true)
  if not ok then
    return nil, message, code
  end
  return prune(plan)
end

-- Adds up pieces that come, and says so once a second.
local function meter(say)
  local total, last = 0, task.now()
  return function(bytes)
    total = total + bytes
    if task.now() - last >= 1 then
      last = task.now()
      say(("%.1f MB so far"):format(total / 1e6))
    end
  end
end

--- Fetch what a plan says, write bundle.yaml, and remove what is not declared. What was fetched
-- before a failure stays, and another run goes on from there.
-- @param plan plan
-- @param options table or nil: parallel (how many things at a time: 4), say (function(text): what
--   begins, and once a second how much has come from the network)
-- @return true; or nil, message (all that failed), code
function M.apply(plan, options)
  options = options or {}
  local say = options.say or function() end
  local ok, message, code = store.prepare(plan.dir)
  if not ok then
    return nil, message, code
  end
  local lock
  lock, message, code = sys.lock(plan.dir .. "/.lock")
  if not lock then
    return nil, message or ("another kbrun is making the bundle %s"):format(plan.dir),
      code or "EBUSY"
  end
  local _ <close> = setmetatable({}, { __close = function()
    sys.unlock(lock)
  end })
  if sys.read_file(bundle.path(plan.dir)) ~= plan.seen then
    return nil, bundle.path(plan.dir) .. " has changed since it was looked at: run it again",
      "EBUSY"
  end
  local session <close> = curl.session()
  plan.session, plan.progress = session, meter(say)
  local failures = work_all(plan, options.parallel or 4, say)
  if #failures > 0 then
    return nil, table.concat(failures, "\n"), "EIO"
  end
  return finish(plan)
end

return M
