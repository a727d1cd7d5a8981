-- Secrets leave no trace: not in what kbrun prints or keeps, not where others on the host look.
local test = ...
local check = require "lib.check"
local crypto = require "kb.core.crypto"
local labs = require "lib.lab"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

-- With what shells, JSON and URLs would write otherwise; and random, so that it is in no old log.
local function invent(word)
  return ("%s'$b \"i/r+d %%41 %s"):format(word, (crypto.random(6):gsub(".", function(c)
    return ("%02x"):format(c:byte())
  end)))
end

local secrets = { become = invent "root", canary = invent "yellow", second = invent "blue" }

local function quoted(text)
  return '"' .. text:gsub('["\\]', "\\%0") .. '"'
end

-- The first secret whose text, random letters or base64 are in a text.
local function sung(text)
  for name, value in pairs(secrets) do
    local random = value:match "%x+$"
    local encoded = crypto.base64_encode(value):sub(1, -8)
    if text:find(value, 1, true) or text:find(random, 1, true) or text:find(encoded, 1, true) then
      return name
    end
  end
end

local function silent(text, what)
  local name = sung(text)
  if name then
    error(("the secret %q is in %s:\n%s"):format(name, what, text), 2)
  end
end

-- On the node, as root: what every process shows of itself, again and again until /run/enough is
-- there; each line once.
local WATCH = [[
rm -f /run/enough
i=0
while [ ! -e /run/enough ] && [ $i -lt 3000 ]; do
  i=$((i + 1))
  cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr "\0" "\n"
  sleep 0.02
done | sort -u]]

-- Where a secret must not be left: everywhere but in the files that were asked for.
local SEARCH = [[
journalctl --no-pager
find /tmp /var/tmp /run /root /home /var/log /var/lib/sudo -type f -size -1M \
  -exec cat {} + 2>/dev/null
ls -aR /tmp /var/tmp /etc/canary; true]]

-- A lab of one master, whose password is ours, and kbrun's own directories in dir.
local function ground(lab, dir)
  local inventory = lab:run("inventory")
  local before = inventory:match 'ansible_become_password: "(.-)"'
  local g = {}
  local function root(password, text, more)
    local r = program.run({ "tests/lab/lab", "--name", lab.name, "ssh", "m0",
      "sudo -S -p '' sh -c '" .. text .. "'" }, { input = password .. "\n" .. (more or "") })
    check.equal(r.status, 0, r.out .. r.err)
    return r.out
  end
  root(before, "chpasswd", "ops:" .. secrets.become .. "\n")
  check.ok(sys.write_file(dir .. "/inventory.yaml", (inventory:gsub('(become_password: )".-"',
    function(name)
      return name .. quoted(secrets.become)
    end))))
  check.ok(sys.write_file(dir .. "/vars.yaml", ("canary: %s\nsecond: %s\n"):format(
    quoted(secrets.canary), quoted(secrets.second))))
  function g.root(text)
    return root(secrets.become, text)
  end
  function g.play(...)
    return program.run({ program.kbrun, "tests/lab/playbooks/canary.lua", "-l", "m0",
      "-i", dir .. "/inventory.yaml", "-e", "@" .. dir .. "/vars.yaml", ... },
      { env = { XDG_CACHE_HOME = dir .. "/cache", HOME = dir } })
  end
  return g
end

test("secrets leave no trace, however much is said and whatever fails", function()
  local dir <close> = scratch()
  local lab <close> = labs.open("canary", { "a0", "m0" })
  local g = ground(lab, dir.path)
  check.equal(sung(secrets.canary), "canary")

  local r = g.play("-n", "-vv")
  check.equal(r.status, 0, r.err)
  check.contains(r.out, "tell ***")
  silent(r.out .. r.err, "a dry run's output")

  local watch = task.spawn(g.root, WATCH)
  r = g.play("-vv", "--diff", "--verify")
  g.root("touch /run/enough")
  local processes = watch:join()
  check.equal(r.status, 4, r.out .. r.err)
  check.contains(r.out, "sing aloud failed")
  check.contains(r.out, "m0 | ***\n")
  silent(r.out .. r.err, "the output")
  check.contains(processes, "\nsleep\n") -- the watch saw what the steps ran
  check.contains(processes, "\n1.1\n")
  check.contains(processes, "\n1.2\n")
  silent(processes, "the list of processes")

  r = g.play("--json", "-vv")
  check.equal(r.status, 4, r.out .. r.err)
  check.contains(r.out, '"output"')
  silent(r.out .. r.err, "the JSON")

  check.contains(g.root "cat /etc/canary/*", secrets.canary)
  silent(g.root(SEARCH), "what is left on the host")
  silent(program.run({ "find", dir.path .. "/cache", "-type", "f", "-exec", "cat", "{}", "+" }).out,
    "what kbrun keeps")
end)
