--- What `kbrun images` says of nodes: the images that they have, and those that they will ask for.
local access = require "kb.command.access"
local columns = require "kb.columns"
local common = require "kb.command.common"
local data = require "kb.data"
local inventory = require "kb.inventory"
local json = require "kb.json"
local play = require "kb.play"
local report = require "kb.report"
local runner = require "kb.runner"
local sys = require "kb.core.sys"
local term = require "kb.term"
local yaml = require "kb.yaml"

local M = {}

-- Shows nothing but what went wrong with a host.
local function complaints()
  return { event = function(_, event)
    if event.event == "host" and event.error then
      io.stderr:write("kbrun images: ", term.clean(event.host .. ": " .. event.error.message), "\n")
    end
  end }
end

-- Ask hosts at once; body(host) gives the rows of one.
local function ask(opts, pattern, body)
  local sources, message = inventory.sources(opts.inventory)
  local over, inv
  if sources then
    over, message = access.settings(opts)
  end
  if over then
    inv, message = inventory.load(sources)
  end
  if not inv then
    return nil, message
  end
  local by_host = {}
  local work = play.alone { "images", hosts = pattern, become = true, forks = opts.forks,
    function(host)
      by_host[host.name] = body(host)
    end }
  local summary = runner.run({ work }, { inventory = inv, report = report.new { complaints() },
    limit = opts.limit, apply = false, retries = 0, open = function(settings)
      return require("kb.remote").open(access.apply(settings, over))
    end })
  local rows = data.list {}
  for _, name in ipairs(inv:match(pattern) or {}) do
    table.move(by_host[name] or {}, 1, #(by_host[name] or {}), #rows + 1, rows)
  end
  return rows, summary
end

local function status_of(summary, found_wanting)
  if summary.interrupted then
    return common.exit.interrupted
  elseif found_wanting or summary.counts.failed > 0 then
    return common.exit.failed
  end
  return summary.counts.unreachable > 0 and common.exit.unreachable or common.exit.done
end

local function short_id(id)
  return id and id:sub(8, 19) or "-"
end

--- The images that nodes have.
-- @param opts table: values of the options
-- @param pattern string: of hosts
-- @return integer: exit status; or nil, message
function M.list(opts, pattern)
  local rows, summary = ask(opts, pattern, play.module("images").stock)
  if not rows then
    return nil, summary
  elseif opts.json then
    io.write(json.encode(rows), "\n")
    return status_of(summary)
  end
  local cells = { { "NODE", "RUNTIME", "ID", "NAME" } }
  for _, row in ipairs(rows) do
    cells[#cells + 1] = { row.node, row.runtime, short_id(row.id), term.clean(row.image) }
  end
  io.write(columns.text(cells))
  return status_of(summary)
end

-- All values of keys `image` in a manifest.
local function add_images(value, by, list)
  local kind = data.kind(value)
  if kind ~= "map" and kind ~= "list" then
    return
  end
  for key, inner in data.pairs(value) do
    if key == "image" and type(inner) == "string" then
      list[#list + 1] = { image = inner, by = by }
    else
      add_images(inner, by, list)
    end
  end
end

local function of_manifests(paths)
  local list = {}
  for _, path in ipairs(paths) do
    local text, message = sys.read_file(path)
    local documents
    if text then
      documents, message = yaml.load_all(text, { name = path })
    end
    if not documents then
      return nil, message
    end
    add_images(data.list(documents), path:match("[^/]*$"), list)
  end
  return list
end

local styles = { there = "green", missing = "red", another = "red" }

local function show(rows, opts)
  local cells, wanting = { { "NODE", "STATE", "ID", "IMAGE", "ASKED FOR BY" } }, 0
  for _, row in ipairs(rows) do
    wanting = wanting + (row.state == "there" and 0 or 1)
    if row.state ~= "there" or not opts.quiet then
      cells[#cells + 1] = { row.node, { row.state, styles[row.state] }, short_id(row.id),
        term.clean(row.image), term.clean(table.concat(row.by, ", ")) }
    end
  end
  if #cells > 1 then
    io.write(columns.text(cells))
  end
  io.stderr:write(("images: %d asked for, %d there, %d not\n"):format(#rows, #rows - wanting,
    wanting))
end

--- What nodes will ask for, compared with what they have.
-- @param opts table: values of the options
-- @param pattern string: of hosts
-- @return integer: exit status, 4 when something is missing; or nil, message
function M.verify(opts, pattern)
  local others, message = of_manifests(opts.manifest)
  if not others then
    return nil, message
  end
  local survey = play.module("images").survey
  local rows, summary = ask(opts, pattern, function(host)
    return survey(host, others)
  end)
  if not rows then
    return nil, summary
  end
  local wanting = false
  for _, row in ipairs(rows) do
    wanting = wanting or row.state ~= "there"
  end
  if opts.json then
    io.write(json.encode(rows), "\n")
  else
    show(rows, opts)
  end
  return status_of(summary, wanting)
end

return M
