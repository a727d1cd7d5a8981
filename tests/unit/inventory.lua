local test = ...
local check = require "lib.check"
local program = require "lib.program"
local scratch = require "lib.scratch"
local data = require "kb.data"
local inventory = require "kb.inventory"
local json = require "kb.json"
local secret = require "kb.secret"
local sys = require "kb.core.sys"

local function write(path, text)
  local dir = path:match "^(.*)/"
  if not sys.stat(dir) then check.ok(program.run({ "mkdir", "-p", dir }).status == 0) end
  check.ok(sys.write_file(path, text))
end

-- An inventory of files: { name = text }; the first is the source.
local function load(text, files, options)
  local dir <close> = scratch()
  local source = dir.path .. "/hosts" .. (options and options.extension or ".yml")
  write(source, text)
  for name, content in pairs(files or {}) do write(dir.path .. "/" .. name, content) end
  local inv, message, code = inventory.load({ source }, options)
  return inv, message and message:gsub("/tmp/kbrun%-test[^/]*/", ""), code
end

local function refused(text, words, files, options)
  local inv, message, code = load(text, files, options)
  check.equal({ inv == nil, code }, { true, "EINVAL" })
  check.contains(message, words)
end

local function connection(text, name, options)
  local inv = check.ok(load(text, nil, options))
  local settings, message = inv:connection(name)
  return settings, message and message:gsub("/tmp/kbrun%-test[^/]*/", "")
end

test("slips are errors that say where and what", function()
  refused("", "hosts.yml: the inventory is empty")
  refused("- a\n", "an inventory is a map of groups, here is a list")
  refused("all:\n  hots:\n    a:\n", 'hosts.yml:2:3: a group has hosts, vars and children, but all '
    .. 'has "hots"; did you mean "hosts"?')
  refused("all:\n  hosts: [a, b]\n",
    'hosts.yml:2:3: hosts of the group all must be a map, here is a '
    .. 'list; write each name as a key: "name:"')
  refused("all:\n  vars: x\n", 'vars of the group all must be a map, here is "x"')
  refused("all:\n  hosts:\n    12:\n", "hosts.yml:3:5: the name of a host must be text, here is 12")
  refused("12:\n  hosts:\n",
    "hosts.yml:1:1: the name of a group must be text, here is the number 12")
  refused("all:\n  hosts:\n    a: 10.0.0.1\n",
    'hosts.yml:3:5: the variables of the host a must be a map, here is "10.0.0.1"')
  refused("all:\n  hosts:\n    w[0:2:\n", 'a bracket of "w[0:2" has no partner')
  refused("g: x\n", 'hosts.yml:1:1: the group g must be a map with hosts, vars or children')
  refused("plugin: aws_ec2\n", "hosts.yml:1:1: this configures an inventory plugin")
  refused("all:\n  vars: {1: a}\n", "hosts.yml:2:10: the name of a variable must be text")
  refused("all:\n  hosts: {a: {x: 1, x: 2}}\n", "hosts.yml:2:21: the key x is here twice")
  refused("a: {children: {b: {children: {a: }}}}",
    "hosts.yml:1:16: the group b cannot be a child of a, which is in it")
  refused("a: {vars: {ansible_group_priority: high}}",
    "ansible_group_priority must be a whole number")
end)

test("unknown keys that are no slip are warned of", function()
  local inv = check.ok(load "all:\n  comment: {x: 1}\n  hosts: {a: }\n")
  check.contains(inv:warnings()[1].message, "comment in the group all is passed over")
  check.equal(inv:warnings()[1].line, 2)
  check.equal(inv:hosts()[1], "a")
end)

test("ranges that make no sense", function()
  local names = require "kb.inventory.names"
  for range, words in pairs { ["w[2:1]"] = "ends before it begins",
    ["w[01:100]"] = "same number of",
    ["w[c:a]"] = "ends before", ["w[a:3]"] = "neither", ["w[1:5:0]"] = "step of 0",
    ["w[1]"] = "not of the form", ["w[]"] = "not of the form", ["w]"] = "no partner",
    ["w[0:9999999]"] = "more than", ["w[0:999][0:999]"] = "more than" } do
    local list, message = names.expand(range)
    check.equal(list, nil)
    check.contains(message, words)
  end
end)

test("files of variables: errors, vaults, what is shadowed", function()
  local text = "web: {hosts: {w0: }}"
  refused(text, "group_vars/web.yml:2:1: the key a is here twice",
    { ["group_vars/web.yml"] = "a: 1\na: 2\n" })
  refused(text, "host_vars/w0: a file of variables holds a map", { ["host_vars/w0"] = "- a\n" })
  refused(text,
    "group_vars/all.yml: this file is encrypted by Ansible's vault; vault files are not "
    .. "supported yet", { ["group_vars/all.yml"] = "$ANSIBLE_VAULT;1.1;AES256\n3132\n" })
  refused(text, "group_vars/all.yml:1:4: this value is encrypted",
    { ["group_vars/all.yml"] = "a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n" })
  local inv = check.ok(load(text, { ["group_vars/web/a.yml"] = "a: 1\n",
    ["group_vars/web.yml"] = "a: 2\n" }))
  check.equal(inv:vars("w0").a, 1)
  check.contains(inv:warnings()[1].message, "this is not read, because there is")
end)

test("an unsafe value is no template, whatever it looks like", function()
  local inv = check.ok(load "all: {hosts: {a: {x: !unsafe '{{ y }}', z: !unsafe plain}}}")
  check.equal({ inv:vars("a").x, inv:vars("a").z }, { "{% raw %}{{ y }}{% endraw %}", "plain" })
end)

test("inventories in Lua: a table or a function, with lists of names", function()
  local inv = check.ok(load([[
    local hosts = {}
    for i = 0, 2 do hosts["w" .. i] = { number = i } end
    return { masters = { hosts = { "m[0:1]", "m5" } }, workers = { hosts = hosts },
      cluster = { children = { "masters", "workers" }, vars = { name = "test" } } }
  ]], nil, { extension = ".lua" }))
  check.equal(table.concat(inv:match "cluster", " "), "m0 m1 m5 w0 w1 w2")
  check.equal({ inv:vars("w2").number, inv:vars("m5").name }, { 2, "test" })
  check.equal(#check.ok(load("return function() return { g = { hosts = 'a' } } end", nil,
    { extension = ".lua" })):hosts(), 1)
  refused("return {", "hosts.lua:1: ", nil, { extension = ".lua" })
  refused("return 3", "returns a table of groups or a function", nil, { extension = ".lua" })
  refused("error 'no'", "no", nil, { extension = ".lua" })
  refused("return { g = { hosts = 3 } }",
    "hosts.lua: hosts of the group g must be a map, here is 3",
    nil, { extension = ".lua" })
end)

test("INI: errors say where", function()
  local ini = { extension = ".ini" }
  refused("[a\nb\n", 'hosts.ini:1:1: a bracket of "[a"', nil, ini)
  refused("[a:bars]\n", "hosts.ini:1:1: [a:bars] is no section", nil, ini)
  refused("[a]\n  b x\n", 'hosts.ini:2:3: key=value is wanted after the host\'s name, here is "x"',
    nil, ini)
  refused("[a:vars]\nx\n", "key=value is wanted in [a:vars]", nil, ini)
  refused("[a]\nb\n[c:vars]\nx=1\n", "hosts.ini:3:1: the group c of [c:vars] is not declared", nil,
    ini)
  refused("[a:children]\nb\n", "hosts.ini:2:1: the group b of [a:children] is not declared", nil,
    ini)
  refused("a x='b\n", "a quote has no end", nil, ini)
  refused("all:\n", "is this file YAML?", nil, ini)
end)

test("connection: Ansible's names", function()
  local settings = connection([[
all:
  hosts:
    m0:
      ansible_host: 10.0.0.2
      ansible_port: "2222"
      ansible_user: ops
      ansible_ssh_private_key_file: /keys/id
      ansible_password: secret one
      ansible_become: yes
      ansible_become_password: secret two
      ansible_ssh_common_args: -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null
        -o ConnectTimeout=7
      port: 8080
      user: of the application
]], "m0")
  check.equal(secret.reveal(settings.password), "secret one")
  check.equal(secret.reveal(settings.become_password), "secret two")
  settings.password, settings.become_password = nil, nil
  check.equal(settings, { name = "m0", transport = "ssh", address = "10.0.0.2", port = 2222,
    user = "ops", keys = { "/keys/id" }, become = "sudo", host_key_policy = "accept-new",
    known_hosts = { "/dev/null" }, timeouts = { connect = 7 } })
end)

test("connection: no file of known hosts is none that is called none", function()
  local settings = connection([[
all: {hosts: {m0: {ansible_ssh_common_args: -o UserKnownHostsFile=none}}}
]], "m0")
  check.equal(settings.known_hosts, { "/dev/null" })
end)

test("connection: our names, and that they are ordinary beside Ansible's", function()
  local settings = connection([[
all:
  hosts:
    m0:2222: {address: 10.0.0.2, user: ops, key: [keys/a, /keys/b], become: su,
      host_key: "ssh-ed25519 AAAA", host_key_policy: strict, connection: openssh, jump: none}
]], "m0")
  check.contains(settings.keys[1], "/keys/a")
  settings.keys = { "keys/a", settings.keys[2] }
  check.equal(settings, { name = "m0", transport = "openssh", address = "10.0.0.2", port = 2222,
    user = "ops", keys = { "keys/a", "/keys/b" }, become = "su", host_key = { "ssh-ed25519 AAAA" },
    host_key_policy = "strict" })
  local inv = check.ok(load "all: {hosts: {m0: {ansible_user: x, port: 8080, host_key: k}}}")
  check.equal(inv:connection "m0", { name = "m0", transport = "ssh", address = "m0", user = "x",
    host_key = { "k" } })
  check.contains(inv:warnings()[1].message, "port is an ordinary variable of m0")
end)

local jumps = [[
all:
  hosts:
    a0: {ansible_host: 1.2.3.4, ansible_port: 2200, ansible_user: gate, ansible_become: true}
    b0: {ansible_host: b, ansible_ssh_common_args: "-J a0"}
    m0: {ansible_ssh_common_args: "-o ProxyJump=a0"}
    m1: {ansible_ssh_common_args: "-J other@a0:22"}
    m2: {ansible_ssh_common_args: '-o ProxyCommand="ssh -q -i /k -p 2022 -W %h:%p me@out"'}
    m3: {jump: "x@first:1,second"}
    m4: {jump: b0}
    m5: {jump: "a0,b0"}
    m6: {ansible_ssh_common_args: "-o 'ProxyCommand ssh out nc %h %p' -o ControlMaster=auto -C"}
    m7: {ansible_ssh_common_args: '-o ProxyCommand="ssh -J a0 -W %h:%p ops@b1"'}
    c0: {jump: c1}
    c1: {jump: c2}
    c2: {jump: c0}
    self: {jump: self}
]]

local function hops(inv, name)
  local words = {}
  for i, hop in ipairs(check.ok(inv:connection(name)).jumps or {}) do
    words[i] = (hop.user and hop.user .. "@" or "") .. hop.address .. ":" .. (hop.port or 22)
      .. (hop.keys and " " .. hop.keys[1] or "")
    check.equal({ hop.become, hop.jump, hop.jumps }, {})
  end
  return table.concat(words, ", ")
end

test("connection: jumps, through the inventory where it knows them", function()
  local inv = check.ok(load(jumps))
  check.equal(hops(inv, "m0"), "gate@1.2.3.4:2200")
  check.equal(hops(inv, "m1"), "other@1.2.3.4:22")
  check.equal(hops(inv, "m2"), "me@out:2022 /k")
  check.equal(hops(inv, "m3"), "x@first:1, second:22")
  check.equal(hops(inv, "m4"), "gate@1.2.3.4:2200, b:22")
  check.equal(hops(inv, "m5"), "gate@1.2.3.4:2200, b:22")
  check.equal(hops(inv, "m6"), "out:22")
  check.equal(hops(inv, "m7"), "gate@1.2.3.4:2200, ops@b1:22")
  check.equal(hops(inv, "self"), "", "a host does not jump through itself")
  local settings, message, code = inv:connection "c0"
  check.equal({ settings, code }, { nil, "EINVAL" })
  check.contains(message, "the jumps go in a circle: c0 -> c1 -> c2 -> c0")
end)

test("connection: what cannot be meant is refused with its place", function()
  local function wrong(vars, words)
    local settings, message = connection("all:\n  hosts:\n    m0:\n      " .. vars .. "\n", "m0")
    check.ok(settings == nil, "refused")
    check.contains(message, words)
  end
  wrong("ansible_port: 99999", "hosts.yml:4:7: ansible_port of m0: a number from 1 to 65535")
  wrong("ansible_connection: winrm", 'ansible_connection of m0: there is no connection "winrm"')
  wrong("ansible_password: 1234567", "a password is text, here is a number; quote it")
  wrong("ansible_password: abc", "ansible_password of m0: a secret of fewer than 4")
  wrong("ansible_become: maybe", "true or false is wanted")
  wrong("ansible_become: {a: b}", "true or false is wanted")
  wrong("{ansible_become: true, ansible_become_method: doas}", 'there is no way "doas"')
  wrong("{ansible_become: true, ansible_become_user: www}", '"www" is for single operations')
  wrong("host_key_policy: never", 'there is no policy "never"')
  wrong("ansible_ssh_common_args: -o ProxyCommand='nc %h %p'", "is no jump that is understood")
  wrong("ansible_ssh_common_args: -o BindAddress=1.2.3.4",
    "ssh's option BindAddress is not supported")
  wrong("ansible_ssh_common_args: -F /etc/x", "ssh's option -F is not supported")
  wrong("ansible_ssh_common_args: a0", '"a0" is no option of ssh')
  wrong("ansible_ssh_common_args: \"-o 'x\"", "a quote has no end")
  wrong("jump: 'a b'", '"a b" is no [user@]host[:port]')
  wrong("ansible_host: '{{ x }}'", "ansible_host of m0: template:1: 'x' is undefined")
end)

test("connection: templates are rendered when they are asked for", function()
  local asked = {}
  local function render(text, host)
    asked[#asked + 1] = text .. " " .. host
    if text == "{{ bad }}" then return nil, "bad is not defined" end
    return "10.0.0.9"
  end
  local inv = check.ok(load("all: {hosts: {m0: {ansible_host: '{{ ip }}'}, "
    .. "m1: {ansible_host: '{{ bad }}'}}}", nil, { render = render }))
  check.equal(asked, {})
  check.equal(inv:connection("m0").address, "10.0.0.9")
  check.equal(asked, { "{{ ip }} m0" })
  check.equal(inv:vars("m0").ansible_host, "{{ ip }}")
  local _, message = inv:connection "m1"
  check.contains(message, "ansible_host of m1: bad is not defined")
  inv = check.ok(load("all: {vars: {net: 10.0, "
    .. "ip: '{{ net }}.{{ number }}', ansible_host: '{{ ip }}'}, "
    .. "hosts: {m1: {number: 1.1, net: '10.0', ansible_port: '{{ 2200 + 22 }}'}}}"))
  check.equal({ inv:connection("m1").address, inv:connection("m1").port }, { "10.0.1.1", 2222 })
end)

test("explain names every definition, the weakest first, and for whom it wins", function()
  local inv = check.ok(inventory.load { "tests/inventory/groupvars/hosts.yml" })
  local rows = {}
  for i, entry in ipairs(inv:explain "where") do
    rows[i] = ("%s:%d %s [%s]"):format(entry.file:match "groupvars/(.*)", entry.line, entry.owner,
      table.concat(entry.hosts, " "))
  end
  check.equal(rows, { "hosts.yml:2 group all []", "hosts.yml:8 group web []",
    "hosts.yml:12 group db []", "group_vars/all.yml:1 group all []",
    "group_vars/web:1 group web [h1 h2]", "group_vars/db/10-first.yml:1 group db []",
    "group_vars/db/20-second.yaml:1 group db [h3]", "hosts.yml:4 host h0 []",
    "host_vars/h0.yml:1 host h0 [h0]" })
  local entries = inv:explain("where", "h2")
  check.equal({ #entries, entries[#entries].value, inv:vars("h2").where },
    { 7, "group_vars web", "group_vars web" })
  check.equal(inv:explain "nothing", {})
  check.equal(inv:definition("first", "h3").line, 2)
end)

test("groups, members and magic variables", function()
  local inv = check.ok(inventory.load { "tests/inventory/nested.yml" })
  check.equal(inv:groups "d0", data.list { "deep", "left", "middle", "right", "top" })
  check.equal(inv:members "nothing", nil)
  local magic = inv:magic "h1"
  check.equal({ magic.inventory_hostname, #magic.groups.deep, #magic.groups.all }, { "h1", 1, 4 })
  check.raises("there is no host h9", inv.vars, inv, "h9")
end)

test("kbrun inventory and kbrun explain", function()
  local function kbrun(...)
    return program.run { program.kbrun, ... }
  end
  local hosts = "tests/inventory/groupvars/hosts.yml"
  check.equal(kbrun("inventory", "-i", hosts, "we*:!h1").out, "h2\n")
  check.equal(json.decode(kbrun("inventory", "-i", hosts, "--host", "h2").out).where,
    "group_vars web")
  check.contains(kbrun("inventory", "-i", hosts, "--graph").out,
    "@all:\n  |--@ungrouped:\n  |  |--h0\n")
  check.contains(kbrun("explain", "where", "h2", "-i", hosts).out, "<- wins\n")
  local refusals = { { "inventory", "-i", hosts, "wbe" }, { "inventory", "-i", hosts, "--host",
    "h22" },
    { "explain", "were", "-i", hosts }, { "inventory", "-i", "/no/such" },
    { "inventory", "-i", hosts, "--list", "--graph" } }
  local words = { 'did you mean "web"?', 'did you mean "h2"?', 'did you mean "where"?',
    "No such file",
    "exclude each other" }
  for i, argv in ipairs(refusals) do
    local result = kbrun(table.unpack(argv))
    check.equal({ result.status, result.out }, { 2, "" })
    check.contains(result.err, words[i])
  end
end)

test("kbrun inventory shows no password unless told to", function()
  local dir <close> = scratch()
  local path = dir.path .. "/hosts.yml"
  write(path, "all: {hosts: {a: {ansible_password: open sesame, x: 0644}}}\n")
  for _, arguments in ipairs { { "inventory", "--list" }, { "inventory", "--host", "a" },
    { "explain", "ansible_password" }, { "explain", "ansible_password", "a", "--json" } } do
    local result = program.run { program.kbrun, arguments[1], "-i", path,
      table.unpack(arguments, 2) }
    check.equal(result.status, 0, result.err)
    check.contains(result.out, "***")
    check.equal(result.out:find "sesame", nil)
  end
  local result = program.run { program.kbrun, "inventory", "-i", path, "--list", "--show-secrets" }
  check.contains(result.out, "open sesame")
  check.contains(result.err, "hosts.yml:1:53: 0644 is 420 to YAML 1.1")
end)
