-- Becoming root by the real sudo and su. The users are made in a mount namespace, so the machine's
-- own files stay as they are. For root.
local test = ...
local check = require "lib.check"
local program = require "lib.program"
local quote = require "kb.quote"
local remote = require "kb.remote"
local secret = require "kb.secret"
local sys = require "kb.core.sys"
local task = require "kb.core.task"
local transport = require "kb.transport.local"

local SETUP = [[
mount --bind "$dir/passwd" /etc/passwd && mount --bind "$dir/shadow" /etc/shadow &&
mount --bind "$dir/sudoers" /etc/sudoers && mount -t tmpfs none /run/sudo || exit 99
[ ! -e "$dir/sudo" ] || mount --bind "$dir/sudo" /usr/bin/sudo || exit 99
HOME=/ USER=walter LOGNAME=walter
exec setpriv --reuid 1999 --regid 1999 --clear-groups /bin/sh -c "$command"]]

-- A directory with the files of a machine whose sudoers says this.
local function machine(sudoers)
  local dir = check.ok(sys.mkdtemp "/tmp/kbrun-become.")
  sys.mkdir "/run/sudo"
  local hash = program.run({ "openssl", "passwd", "-6", "-stdin" }, { input = "right one\n" }).out
  hash = hash:gsub("\n", "")
  check.ok(sys.write_file(dir .. "/passwd", sys.read_file "/etc/passwd"
    .. "walter:x:1999:1999::/:/bin/sh\n", 420))
  check.ok(sys.write_file(dir .. "/shadow", "root:" .. hash .. ":19000::::::\nwalter:" .. hash
    .. ":19000::::::\n"))
  check.ok(sys.write_file(dir .. "/sudoers", "Defaults env_reset, !fqdn\n" .. sudoers .. "\n", 288))
  local inner = check.ok(transport.open {})
  return {
    dir = dir,
    alive = function() return true end,
    close = function() end,
    exec = function(_, command)
      return inner:exec(("dir=%s command=%s exec unshare -m /bin/sh -c %s"):format(quote(dir),
        quote(command), quote(SETUP)))
    end,
  }
end

-- Run `id -un` as root there with this password.
local function as_root(sudoers, settings)
  local connection = machine(sudoers)
  local _ <close> = setmetatable({}, { __close = function()
    program.run { "rm", "-rf", connection.dir }
  end })
  settings.transport, settings.name, settings.user = "test", "web1", "walter"
  package.loaded["kb.transport.test"] = { open = function() return connection end }
  local r <close> = check.ok(remote.open(settings))
  local started = task.now()
  local result, message, code = r:run("id -un; cat", { user = "root", stdin = "data" })
  if result then
    check.equal(check.ok(r:run("id -un", { user = "root" })).out, "root\n")
    check.equal(r.shells, 1, "sudo was asked once")
    check.equal(check.ok(r:run "id -un").out, "walter\n")
  end
  check.equal(task.now() - started < 15, true)
  return result and result.out, message, code
end

local ALL = "walter ALL=(ALL:ALL) ALL"

test("sudo with the right password", function()
  local out, message = as_root(ALL, { become_password = secret.new "right one" })
  check.equal({ out, message }, { "root\ndata", nil })
end)

test("sudo with NOPASSWD gets no password, which would be data", function()
  check.equal(as_root("walter ALL=(ALL:ALL) NOPASSWD: ALL", { become_password = "right one" }),
    "root\ndata")
end)

test("sudo with a terminal of its own", function()
  check.equal(as_root("Defaults use_pty\n" .. ALL, { become_password = "right one" }),
    "root\ndata")
end)

test("a wrong password is one attempt and said clearly", function()
  local _, message, code = as_root(ALL, { become_password = "wrong one" })
  check.equal({ message, code }, { "web1: sudo to root: wrong password", "EAUTH" })
end)

test("no password where one is wanted", function()
  local _, message, code = as_root(ALL, {})
  check.equal({ message, code },
    { "web1: sudo to root: sudo asks for a password, and none is known", "EAUTH" })
end)

test("who is not in sudoers is told so", function()
  local _, message, code = as_root("", { become_password = "right one" })
  check.equal(code, "EAUTH")
  check.contains(message, "web1: sudo to root: this user may not: ")
end)

test("requiretty is told with its cure", function()
  local _, message, code = as_root("Defaults requiretty\n" .. ALL,
    { become_password = "right one" })
  check.equal(code, "EAUTH")
  check.contains(message, "requiretty")
  check.contains(message, "sudoers")
end)

test("su, with the right password and a wrong one", function()
  check.equal(as_root("", { become = "su", become_password = "right one" }), "root\ndata")
  local _, message, code = as_root("", { become = "su", become_password = "wrong one" })
  check.equal({ message, code }, { "web1: su to root: wrong password", "EAUTH" })
end)

test("another user than root", function()
  local connection = machine("walter ALL=(ALL:ALL) NOPASSWD: ALL")
  package.loaded["kb.transport.test"] = { open = function() return connection end }
  local r <close> = check.ok(remote.open { transport = "test", user = "walter" })
  check.equal(check.ok(r:run("id -un", { user = "daemon" })).out, "daemon\n")
  program.run { "rm", "-rf", connection.dir }
end)

-- What sudo-rs says and does, as far as it matters here: it frames the prompt.
local SUDO_RS = [=[#!/bin/sh
while [ "$1" != -- ]; do
  [ "$1" = -p ] && prompt=$2
  shift
done
shift
for _ in 1 2 3; do
  printf '[sudo: %s] Password: ' "$prompt" >&2
  IFS= read -r password || exit 1
  [ "$password" = "right one" ] && exec "$@"
  printf '\nSorry, try again.\n' >&2
done
exit 1
]=]

test("the prompt of sudo-rs", function()
  for password, wanted in pairs { ["right one"] = "walter\n", ["wrong one"] = false } do
    local connection = machine("")
    check.ok(sys.write_file(connection.dir .. "/sudo", SUDO_RS, 493))
    package.loaded["kb.transport.test"] = { open = function() return connection end }
    local r <close> = check.ok(remote.open { transport = "test", user = "walter", name = "web1",
      become_password = password })
    local result, message = r:run("id -un", { user = "root" })
    check.equal(result and result.out or false, wanted)
    if not wanted then
      check.equal(message, "web1: sudo to root: wrong password")
    end
    program.run { "rm", "-rf", connection.dir }
  end
end)
