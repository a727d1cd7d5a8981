local test = ...
local check = require "lib.check"
local program = require "lib.program"
local reader_of = require "kb.tar.reader"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"

local function source_of(text)
  local at = 1
  return { read = function(_, n)
    at = at + n
    return text:sub(at - n, at - 1)
  end, skip = function(_, n)
    local there = math.min(n, math.max(#text - at + 1, 0))
    at = at + n
    return there
  end }
end

-- Every entry as {name, kind, content or target}.
local function entries(text, passed_over)
  local reader, list = reader_of.new(source_of(text)), {}
  while true do
    local entry, message, code = reader:next()
    if not entry then
      return not message and list or nil, message, code
    end
    local parts = {}
    for data in function() return not passed_over and reader:content(100) or nil end do
      parts[#parts + 1] = data
    end
    list[#list + 1] = { entry.name, entry.kind, entry.target or table.concat(parts) }
  end
end

-- What the tar program makes of a directory in this format.
local function packed(dir, format)
  local result = program.run { "tar", "--format=" .. format, "--sort=name", "-C", dir .. "/tree",
    "-cf", dir .. "/x.tar", "." }
  check.equal(result.status, 0, result.err)
  return check.ok(sys.read_file(dir .. "/x.tar"))
end

local long = ("directory/"):rep(12) .. ("n"):rep(120)

local function make_tree(dir)
  check.ok(sys.mkdir(dir .. "/tree/" .. long:match("^(.*)/")))
  check.ok(sys.write_file(dir .. "/tree/" .. long, "long"))
  check.ok(sys.write_file(dir .. "/tree/a", ("x"):rep(1234)))
  check.ok(sys.write_file(dir .. "/tree/b", ""))
  check.ok(sys.symlink(long, dir .. "/tree/link"))
end

test("what GNU tar writes is read, long names and targets too", function()
  local dir <close> = scratch()
  make_tree(dir.path)
  for _, format in ipairs({ "gnu", "pax" }) do
    local found = {}
    for _, entry in ipairs(check.ok(entries(packed(dir.path, format)))) do
      found[entry[1]] = { entry[2], entry[3] }
    end
    check.equal({ found["./a"], found["./b"], found["./" .. long], found["./link"], found["./"] },
      { { "file", ("x"):rep(1234) }, { "file", "" }, { "file", "long" }, { "link", long },
        { "directory", "" } }, format)
  end
end)

test("contents may be passed over", function()
  local dir <close> = scratch()
  make_tree(dir.path)
  local text = packed(dir.path, "pax")
  check.equal(#check.ok(entries(text, true)), #check.ok(entries(text)))
end)

test("sizes beyond octal are read", function()
  local dir <close> = scratch()
  check.ok(sys.mkdir(dir.path .. "/tree"))
  check.equal(program.run({ "truncate", "-s", "9G", dir.path .. "/tree/big" }).status, 0)
  for _, format in ipairs({ "gnu", "pax" }) do
    local result = program.run({ "sh", "-c", 'tar --format="$1" -C "$2" -cf - big | head -c 4096',
      "sh", format, dir.path .. "/tree" })
    local reader = reader_of.new(source_of(result.out))
    check.equal(check.ok(reader:next()).size, 9 << 30)
  end
end)

test("an archive that is cut anywhere is refused", function()
  local dir <close> = scratch()
  make_tree(dir.path)
  local text = packed(dir.path, "pax")
  local whole = #text:gsub("\0+$", "")
  for cut = 0, whole, 97 do
    local list, message, code = entries(text:sub(1, cut))
    check.equal({ list, code }, { nil, "EINVAL" })
    check.contains(message, "truncated")
  end
end)

test("bytes changed at random are read or refused, never more", function()
  local dir <close> = scratch()
  make_tree(dir.path)
  local text = packed(dir.path, "gnu")
  math.randomseed(7919)
  for _ = 1, 300 do
    local at = math.random(5000)
    entries(text:sub(1, at - 1) .. string.char(math.random(0, 255)) .. text:sub(at + 1))
  end
end)
