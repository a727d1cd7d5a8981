-- files.tree over a real sshd: what is foretold is done and found true, and nothing is left to do.
local test = ...
local check = require "lib.check"
local json = require "kb.json"
local program = require "lib.program"
local sshd = require "lib.sshd"
local sys = require "kb.core.sys"

local PLAY = [[
local kb = require "kb"
local files = kb.use("files")
kb.play { "p", hosts = "all", function(host)
  files.tree(host, { host.vars.dir .. "/new/www", from = "site", mode = "0640", dir_mode = "0750",
    delete = host:var("delete") == "yes" })
  files.file(host, { host.vars.dir .. "/new/www/sub/more", content = "x" })
  assert(host:fact("file.stat", host.vars.dir .. "/new/www/sub").kind == "directory")
  assert(host:fact("file.exists", host.vars.dir .. "/new/www/plain"))
end }
]]

local SITE = [[
mkdir -p files/site/sub/deep "files/site/odd
name"; cd files/site
echo plain >plain; echo b >'sub/with space'; echo c >sub/deep/c; echo odd >"odd
name/\\back"; ln -s ../plain sub/link; ln -s nowhere dangling
head -c 3000000 /dev/urandom >big
]]

local function shell(dir, text)
  local r = program.run({ "sh", "-ec", text }, { cwd = dir })
  check.equal(r.status, 0, r.err)
  return r.out
end

-- A server with a playbook and what it sends; run(...) gives the steps of a run: status and diff.
local function ground()
  local server = sshd.new()
  server:listen()
  local known = server:file("known_hosts", ("[127.0.0.1]:%d %s\n"):format(server.port,
    server:public(server.host_key)))
  local inventory = server:file("hosts.yaml", ([[
all:
  vars: { ansible_ssh_private_key_file: %s, ansible_ssh_common_args: -o UserKnownHostsFile=%s }
  hosts: { h1: { ansible_host: 127.0.0.1, ansible_port: %d, ansible_user: %s } }
]]):format(server.user_key, known, server.port, sys.self().user))
  local playbook = server:file("play.lua", PLAY)
  shell(server.dir, SITE)
  return server, function(...)
    local r = program.run { program.kbrun, playbook, "-i", inventory, "-e", "dir=" .. server.dir,
      "--json", "--diff", ... }
    check.equal(r.status, 0, r.out .. r.err)
    local steps = {}
    for line in r.out:gmatch "[^\n]+" do
      local e = check.ok(json.decode(line))
      if e.event == "step" and e.status ~= "running" then
        steps[#steps + 1] = { e.status, e.title, e.diff }
      end
    end
    return steps
  end
end

local NEW = "+big\n+dangling -> nowhere\n+odd\\nname/\n+odd\\nname/\\back\n+plain\n+sub/\n"
  .. "+sub/deep/\n+sub/deep/c\n+sub/link -> ../plain\n+sub/with space\n"

test("a directory is foretold, sent, found true, and not sent again", function()
  local server <close>, run = ground()
  local foretold = run "--dry-run"
  check.equal({ foretold[1][1], foretold[1][3] }, { "changed", NEW })
  check.equal(sys.stat(server.dir .. "/new"), nil)
  check.equal(run "--verify", foretold)
  shell(server.dir, "rm new/www/sub/more; diff -r --no-dereference files/site new/www")
  check.equal(shell(server.dir, "find new/www ! -type l -printf '%y%m\n' | sort -u"),
    "d750\nf640\n")
  run()
  check.equal(run "--verify", { { "same" }, { "same" } })
end)

test("what differs is sent, and what is not ours goes where that is said", function()
  local server <close>, run = ground()
  run()
  shell(server.dir, "cd new/www; echo other >plain; rm sub/link; mkdir sub/link; "
    .. "echo x >sub/link/x; mkdir -p theirs/below; echo x >theirs/below/x; chmod 600 sub/deep/c; "
    .. "rm -r odd*")
  local words = { "--dry-run", "-e", "delete=yes" }
  local foretold = run(table.unpack(words))
  check.equal(foretold[1][3], "+odd\\nname/\n+odd\\nname/\\back\n~plain (content)\n"
    .. "~sub/deep/c (mode 0640)\n~sub/link -> ../plain (was a directory)\n-sub/more\n-theirs\n")
  words[1] = "--verify"
  check.equal(run(table.unpack(words)), foretold)
  shell(server.dir, "rm new/www/sub/more; diff -r --no-dereference files/site new/www")
end)
