--- kbrun bundle: what an offline bundle holds, and whether it is whole.
local bundle = require "kb.bundle"
local columns = require "kb.columns"
local common = require "kb.command.common"
local data = require "kb.data"
local json = require "kb.json"
local term = require "kb.term"
local verify_bundle = require "kb.bundle.verify"

local function complain(message)
  io.stderr:write("kbrun bundle: ", term.clean(message), "\n")
  return common.exit.failed
end

-- All that an item is: of an image its manifest, config and layers.
local function bytes_of(item)
  local bytes = 0
  for _, blob in ipairs(bundle.blobs_of(item)) do
    bytes = bytes + blob.size
  end
  return bytes
end

local function list(opts, dir)
  local manifest, message = bundle.load(dir)
  if not manifest then
    return complain(message)
  elseif opts.json then
    io.write(json.encode(manifest.items), "\n")
    return common.exit.done
  end
  local cells = { { "KIND", "NAME", "VERSION", "ARCH", "SIZE", "SHA256" } }
  for _, item in ipairs(manifest.items) do
    cells[#cells + 1] = { item.kind, term.clean(item.name), term.clean(item.version or "-"),
      term.clean(item.arch or "-"), term.bytes(bytes_of(item)), item.sha256:sub(1, 12) }
  end
  io.write(columns.text(cells))
  return common.exit.done
end

local function print_findings(findings)
  for _, finding in ipairs(findings) do
    local who = finding.items and " (" .. table.concat(finding.items, ", ") .. ")" or ""
    io.write(("%s: %s%s: %s\n"):format(finding.fault, finding.file, term.clean(who),
      finding.message))
  end
end

local function advise(dir)
  io.stderr:write(("Remove what is wrong and make %s again with playbooks/bundle.lua: it fetches "
    .. "what is missing and removes what is extra.\n"):format(dir))
end

local function verify(opts, dir)
  local report, message = verify_bundle.check(dir)
  if not report then
    return complain(message)
  end
  local findings = report.findings
  if opts.json then
    io.write(json.encode { bundle = dir, items = report.items, blobs = report.blobs,
      bytes = report.bytes, findings = data.list(findings) }, "\n")
  else
    print_findings(findings)
  end
  if not opts.quiet then
    io.stderr:write(("%d items, %d blobs, %s: %s\n"):format(report.items, report.blobs,
      term.bytes(report.bytes), #findings == 0 and "whole" or #findings .. " findings"))
  end
  if #findings > 0 and not opts.quiet and not opts.json then
    advise(dir)
  end
  return #findings == 0 and common.exit.done or common.exit.failed
end

local actions = { ls = list, verify = verify }

local function run(opts, args)
  local action = actions[args[1]]
  if not action then
    return nil, ("there is no `bundle %s`; there are ls and verify"):format(args[1])
  end
  return action(opts, args[2])
end

return {
  name = "bundle",
  summary = "look into an offline bundle, check that it is whole",
  usage = "ls|verify DIR",
  description = [[
A bundle is a directory with a bundle.yaml, as playbooks/bundle.lua makes it. ls
lists what bundle.yaml says: the size of an image is that of all its layers, and
its SHA256 is its manifest's. verify hashes every blob and names those that are
missing, that are not what their name says, and that no item has. The exit
status is 4 when something is not as it should be.]],
  arguments = {
    { name = "ACTION", help = "ls or verify" },
    { name = "DIR", help = "the bundle" },
  },
  options = common.options(common.only(common.output, "json", "quiet", "no-color")),
  run = run,
}
