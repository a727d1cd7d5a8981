-- What other people's checkers say of the tree.
local test = ...
local crypto = require "kb.core.crypto"
local program = require "lib.program"
local sys = require "kb.core.sys"
local tree = require "lib.tree"

local packages = { luacheck = "lua-check" }

-- Run a checker over files; a checker that is not installed is a failure that
-- says so, as a check that does not run finds nothing.
local function clean(argv, files)
  if #files == 0 then
    return
  end
  local ran, r = pcall(program.run, table.move(files, 1, #files, #argv + 1, argv))
  if not ran then
    error(("%s (the Debian package is %s)"):format(r, packages[argv[1]] or argv[1]))
  elseif r.status ~= 0 then
    error(argv[1] .. " says:\n" .. r.out .. r.err)
  end
end

test("clang-format has nothing to change", function()
  clean({ "clang-format", "--dry-run", "-Werror" }, tree.files("%.[ch]$"))
end)

test("luacheck finds nothing", function()
  clean({ "luacheck", "--quiet", "--no-color" }, tree.files("%.lua$"))
end)

-- A slow checker need not look twice at the same texts: a file in the build
-- directory keeps the digest of what was clean.
local function unless_unchanged(name, files, fn)
  local hash = crypto.hash("sha256")
  for _, path in ipairs(files) do
    hash:update(path .. "\0" .. tree.text(path) .. "\0")
  end
  local digest, stamp = hash:final(), (sys.getenv("KBRUN_BUILD") or "build") .. "/" .. name
  if sys.read_file(stamp) ~= digest then
    fn()
    sys.write_file(stamp, digest)
  end
end

test("shellcheck finds nothing in scripts for bash and sh", function()
  local scripts = {}
  for _, path in ipairs(tree.files()) do
    local first = tree.text(path):match("^[^\n]*")
    if path:find("%.sh$") or first:find("^#!.*[/ ]b?a?sh$") or first:find("^#!.*[/ ]b?a?sh ") then
      scripts[#scripts + 1] = path
    end
  end
  unless_unchanged("shellcheck.clean", scripts, function()
    clean({ "shellcheck", "-x", "--source-path=SCRIPTDIR", "--shell=bash" }, scripts)
  end)
end)
