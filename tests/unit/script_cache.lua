-- The cache of the test scripts: an entry is whole or absent, and is made once.
local test = ...
local check = require "lib.check"
local program = require "lib.program"
local sys = require "kb.core.sys"

-- Run a script with a cache of its own, and `maker`, which notes each call and
-- waits for its input to end before it is done.
local function with_cache(script)
  local dir = check.ok(sys.mkdtemp("/tmp/kbrun-cache-"))
  local r = program.run({ "bash", "-c", [[
    KBRUN_CACHE=$PWD/cache
    . "$TOP/tests/lib/common.sh"
    maker() {
      echo made >>"$KBRUN_CACHE/calls"
      cat "$KBRUN_CACHE/gate" >/dev/null
      echo whole >"$1/file"
    }
    mkdir cache
    mkfifo cache/gate
  ]] .. script }, { cwd = dir, env = { TOP = sys.self().cwd } })
  program.run { "rm", "-r", dir }
  return r
end

test("two callers at once share one piece of work", function()
  local r = with_cache [[
    cached thing maker >first & one=$!
    cached thing maker >second & two=$!
    echo >cache/gate
    wait $one
    wait $two
    cmp first second
    cat cache/thing/file cache/calls
  ]]
  check.equal(r.out, "whole\nmade\n", r.err)
  check.equal(r.status, 0)
end)

test("a maker that is killed leaves no entry, and the next one starts anew", function()
  local r = with_cache [[
    (cached thing maker) & pid=$!
    # Opening the gate for writing waits until the maker reads it.
    exec 3>cache/gate
    kill -9 -- $pid $(pgrep -P $pid) || true
    wait $pid || true
    # A new gate: what still reads the old one must not take what is for the next maker.
    rm cache/gate
    mkfifo cache/gate
    exec 3>&-
    [ ! -e cache/thing ] && echo absent
    echo >cache/gate & cached thing maker >/dev/null
    cat cache/thing/file
  ]]
  check.equal(r.out, "absent\nwhole\n", r.err)
end)

test("a maker that fails leaves no entry, and its caller fails", function()
  local r = with_cache [[
    bad() { echo half >"$1/file"; false; echo more >"$1/file"; }
    trap '[ -e cache/thing ] || echo absent' EXIT
    path=$(cached thing bad)
    echo "went on with $path"
  ]]
  check.equal(r.out, "absent\n", r.err)
  check.equal(r.status, 1)
end)
