local test = ...
local access = require "kb.command.access"
local check = require "lib.check"
local proc = require "kb.core.proc"
local program = require "lib.program"
local secret = require "kb.secret"
local sys = require "kb.core.sys"

local function temporary(text)
  local dir = check.ok(sys.mkdtemp("/tmp/kbrun-test-"))
  check.ok(sys.write_file(dir .. "/file", text))
  return dir .. "/file", setmetatable({}, { __close = function()
    sys.remove(dir .. "/file")
    sys.remove(dir)
  end })
end

test("what is not given is absent", function()
  check.equal(access.settings { key = {} }, {})
end)

test("options become settings", function()
  local a, guard <close> = temporary("")
  check.equal(access.settings { user = "ops", key = { a, a }, timeout = 3, become = true },
    { user = "ops", keys = { a, a }, timeouts = { connect = 3 }, become = "sudo" })
  check.ok(guard)
end)

test("a key that is not there is refused before any host is asked", function()
  local settings, message = access.settings { key = { "/no/such/key" } }
  check.equal(settings, nil)
  check.contains(message, "--key: /no/such/key: No such file")
end)

test("the password for root is the first line of its file, and a secret", function()
  local path, guard <close> = temporary("hunter22\n")
  local settings = access.settings { become_password_file = path }
  check.equal(secret.reveal(settings.become_password), "hunter22")
  check.equal(tostring(settings.become_password), "***")
  check.equal(settings.become, "sudo")
  check.ok(guard)
end)

test("a password file that is not there, or too short, is refused by name", function()
  local settings, message = access.settings { become_password_file = "/no/such/file" }
  check.equal(settings, nil)
  check.contains(message, "--become-password-file: /no/such/file")
  local path, guard <close> = temporary("\n")
  settings, message = access.settings { become_password_file = path }
  check.equal(settings, nil)
  check.contains(message, path)
  check.ok(guard)
end)

test("settings of the command line lie over those of the inventory", function()
  local host = { user = "a", port = 22, become = "su", timeouts = { connect = 1, auth = 2 } }
  check.equal(access.apply(host, { user = "b", become = "sudo", timeouts = { connect = 9 } }),
    { user = "b", port = 22, become = "su", timeouts = { connect = 9, auth = 2 } })
end)

-- The prompts need a terminal: script(1) makes one.
-- Answers come after
-- their prompts, as what is typed before is thrown away.
local function on_terminal(answers)
  local path, guard <close> = temporary([[
    local access, secret = require "kb.command.access", require "kb.secret"
    local s = assert(access.settings { ask_password = true, ask_become_password = true })
    print("login=" .. secret.reveal(s.password):reverse())
    print("root=" .. secret.reveal(s.become_password):reverse())
  ]])
  check.ok(guard)
  local process, pipes = check.ok(proc.spawn { stderr = "inherit",
    argv = { "script", "-qec", ("%s lua %s"):format(program.kbrun, path), "/dev/null" } })
  local out = ""
  for chunk in function() return (pipes.stdout:read()) end do
    out = out .. chunk
    if out:find(": $") and #answers > 0 then
      check.ok(pipes.stdin:write(table.remove(answers, 1) .. "\n"))
    end
  end
  pipes.stdin:close()
  pipes.stdout:close()
  check.equal(process:wait(), 0)
  return out
end

test("passwords are asked for without echo", function()
  local out = on_terminal { "abcdef", "uvwxyz" }
  check.contains(out, "Login password: ")
  check.contains(out, "login=fedcba")
  check.contains(out, "root=zyxwvu")
  check.equal(out:find("abcdef"), nil)
end)

test("an empty password for root is the login password, if there is one", function()
  check.contains(on_terminal { "abcdef", "" }, "root=fedcba")
end)

test("Ctrl-C at a prompt leaves a terminal that shows what is typed", function()
  local path, guard <close> = temporary [[require("kb.core.sys").ask_secret("Password: ")]]
  check.ok(guard)
  local process, pipes = check.ok(proc.spawn { stderr = "inherit", argv = { "script", "-qec",
    ("sh -c 'trap : INT; %s lua %s; echo status $?; stty -a'"):format(program.kbrun, path),
    "/dev/null" } })
  local out = ""
  for chunk in function() return (pipes.stdout:read()) end do
    out = out .. chunk
    if out:find("Password: $") then
      check.ok(pipes.stdin:write("\3"))
    end
  end
  pipes.stdin:close()
  pipes.stdout:close()
  process:wait()
  check.contains(out, "status 130")
  check.contains(out, " echo ")
end)
