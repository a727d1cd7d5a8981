--- Whether a bundle is what its bundle.yaml says: every blob is hashed, several at a time.
local bundle = require "kb.bundle"
local crypto = require "kb.core.crypto"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local M = {}

local PARALLEL = 4 -- files hashed at a time

-- What is wrong with a blob; nil when nothing is.
local function fault(blob)
  local sha256, size, code = crypto.digest_file("sha256", blob.file)
  if code == "ENOENT" then
    return "missing", "it is not there"
  elseif not sha256 then
    return "unreadable", size
  elseif size ~= blob.size then
    return "wrong", ("it has %d bytes, not %d"):format(size, blob.size)
  elseif sha256 ~= blob.sha256 then
    return "wrong", ("its SHA-256 is %s"):format(sha256)
  end
end

-- The items that need each blob, as people call them.
local function owners(items)
  local names = {}
  for _, item in ipairs(items) do
    for _, blob in ipairs(bundle.blobs_of(item)) do
      names[blob.sha256] = names[blob.sha256] or {}
      table.insert(names[blob.sha256], item.kind .. " " .. item.name)
    end
  end
  return names
end

local function hash_all(blobs, take)
  local next_one, tasks = 1, {}
  for i = 1, PARALLEL do
    tasks[i] = task.spawn(function()
      while next_one <= #blobs do
        local blob = blobs[next_one]
        next_one = next_one + 1
        take(blob, fault(blob))
      end
    end)
  end
  for _, one in ipairs(tasks) do
    one:join()
  end
end

local function extra(dir, names)
  local list = {}
  for _, name in ipairs(sys.list(dir .. "/blobs/sha256") or {}) do
    if not names[name] then
      list[#list + 1] = { fault = "extra", blob = name, message = "no item has it",
        file = bundle.blob(dir, name) }
    end
  end
  return list
end

--- Check all of a bundle.
-- @param dir string
-- @return table: items, blobs, bytes (how many), findings (list of { fault ("missing", "wrong",
--   "unreadable" or "extra"), blob, file, message, items (who needs it) }, in a fixed order); or
--   nil, message, code when bundle.yaml cannot be read
function M.check(dir)
  local manifest, message, code = bundle.load(dir)
  if not manifest then
    return nil, message, code
  end
  local blobs, names = bundle.blobs(dir, manifest.items), owners(manifest.items)
  local report = { items = #manifest.items, blobs = #blobs, bytes = 0,
    findings = extra(dir, names) }
  for _, blob in ipairs(blobs) do
    report.bytes = report.bytes + blob.size
  end
  hash_all(blobs, function(blob, what, why)
    if what then
      table.insert(report.findings, { fault = what, blob = blob.sha256, file = blob.file,
        message = why, items = names[blob.sha256] })
    end
  end)
  table.sort(report.findings, function(a, b)
    return a.fault .. a.blob < b.fault .. b.blob
  end)
  return report
end

return M
