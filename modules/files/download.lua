--- The plan of a file from the network.

local kb = require "kb"
local perhaps = require "modules.files.perhaps"

local M = {}

-- A fresh Debian has neither curl nor wget, but apt's own helper, which links to files that are on
-- the host already.
local FETCH = [[
t=$(mktemp %s.XXXXXX) || exit
trap 'rm -f "$t"' EXIT
trap 'exit 130' HUP INT TERM
if command -v curl >/dev/null; then
  curl -fsSL --retry 3 --connect-timeout 15 -o "$t" -- %s || exit
elif command -v wget >/dev/null; then
  wget -q --timeout=15 -O "$t" -- %s || exit
elif [ -x /usr/lib/apt/apt-helper ]; then
  /usr/lib/apt/apt-helper -q -o APT::Sandbox::User=root download-file %s "$t" || exit
  [ ! -L "$t" ] || cp --remove-destination -- "$(readlink -f "$t")" "$t" || exit
else
  echo 'the host has neither curl nor wget to fetch it' >&2; exit 1
fi
set -- $(sha256sum <"$t")
if [ "$1" != %s ]; then
  echo "its SHA-256 is $1" >&2; exit 1
fi
chown %s:%s "$t" && chmod %04o "$t" && sync -- "$t" && mv -fT -- "$t" %s]]

local function by_host(args)
  return function(after)
    local path, url = kb.quote(args.path), kb.quote(args.url)
    return { { run = "(" .. FETCH:format(path, url, url, url, args.sha256, kb.quote(after.owner),
      kb.quote(after.group), after.mode, path) .. ")",
      fails = ("%s could not be had from %s"):format(args.path, args.url) } }
  end
end

local function by_operator(args)
  return function(after)
    local action, file = kb.fetch(args.url, args.sha256)
    return { action, { put = { path = args.path, file = file, owner = after.owner,
      group = after.group, mode = after.mode } } }
  end
end

--- The plan of files.download.
-- @param args table
-- @param fact function
-- @return change, or nil and a reason
function M.plan(args, fact)
  args.sha256 = args.sha256:lower()
  if not args.sha256:find("^%x+$") or #args.sha256 ~= 64 then
    kb.refuse("sha256 must be 64 hexadecimal digits, got " .. args.sha256)
  elseif not args.url:find("^%a[%w+.-]*://%S+$") then
    kb.refuse(("%q is not a URL"):format(args.url))
  end
  return perhaps.write(args, fact, { digest = args.sha256,
    actions = (args.via == "operator" and by_operator or by_host)(args) })
end

return M
