-- Both compilers accept the tree without a warning, as people run it and as we
-- develop it. The build directories are kept, so that a rerun is quick.
local test = ...
local check = require "lib.check"
local program = require "lib.program"
local sys = require "kb.core.sys"

local top = (sys.getenv("KBRUN_BUILD") or "build") .. "/compilers"

local function run(argv)
  local r = program.run(argv)
  if r.status ~= 0 then
    error(table.concat(argv, " ") .. "\n" .. r.out .. r.err)
  end
  return r.out
end

local function build(compiler, kind, flags)
  local dir = ("%s/%s-%s"):format(top, compiler, kind)
  run { "cmake", "-S", ".", "-B", dir, "-G", "Ninja", "-DCMAKE_C_COMPILER=" .. compiler,
    "-DCMAKE_COMPILE_WARNING_AS_ERROR=ON", table.unpack(flags) }
  run { "ninja", "-C", dir, "-j2" }
  return dir .. "/kbrun"
end

local kinds = {
  dev = { "-DCMAKE_BUILD_TYPE=Debug", "-DKBRUN_SANITIZE=ON" },
  release = { "-DCMAKE_BUILD_TYPE=Release" },
}

for _, compiler in ipairs { "gcc", "clang" } do
  for _, kind in ipairs { "dev", "release" } do
    test(("%s builds %s, and what it builds runs"):format(compiler, kind), function()
      check.contains(run { build(compiler, kind, kinds[kind]), "--version" }, "kbrun ")
    end)
  end
end

test("cmake --install puts things in their usual places", function()
  local dir = check.ok(sys.mkdtemp("/tmp/kbrun-install-"))
  local _ <close> = setmetatable({}, { __close = function()
    run { "rm", "-r", dir }
  end })
  local binary = build("gcc", "release", kinds.release)
  run { "cmake", "--install", binary:match("^(.*)/"), "--prefix", dir }
  check.contains(run { dir .. "/bin/kbrun", "doc", "data.map" }, "kb.data.map")
  check.contains(check.ok(sys.read_file(dir .. "/share/man/man1/kbrun.1")), ".TH KBRUN 1")
  check.ok(sys.stat(dir .. "/share/doc/kbrun/README.md"))
end)

-- What readelf must show of a hardened program, and what it must not.
local hardening = {
  { "-h", "DYN", "position independent" },
  { "-d", "BIND_NOW", "all relocations done at the start" },
  { "-l", "GNU_RELRO", "relocations read-only" },
  { "--dyn-syms", "__stack_chk_fail", "stack protector" },
  { "--dyn-syms", "_chk@", "fortified libc calls" },
}

for _, compiler in ipairs { "gcc", "clang" } do
  test(("the release of %s is hardened"):format(compiler), function()
    local binary = build(compiler, "release", kinds.release)
    for _, row in ipairs(hardening) do
      local out = run { "readelf", "-W", row[1], binary }
      check.ok(out:find(row[2], 1, true), row[3] .. ": readelf does not show " .. row[2])
    end
    local segments = run { "readelf", "-W", "-l", binary }
    check.equal(segments:match("GNU_STACK[^\n]*"):find("RWE"), nil, "an executable stack")
  end)
end
