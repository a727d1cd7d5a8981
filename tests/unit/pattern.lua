local test = ...
local check = require "lib.check"
local inventory = require "kb.inventory"
local regex = require "kb.pattern.regex"

local inv = check.ok(inventory.load { "tests/inventory/kubespray/hosts.yaml" })
local numbered = check.ok(inventory.load { "w0,w1,w2,w10,m0,m1,a-b,a.b,x[1]" })

local function names(pattern, where)
  local list, message = (where or inv):match(pattern)
  return list and table.concat(list, " ") or message
end

test("unions, intersections and exclusions, in whatever order they are written", function()
  check.equal(names "kube_control_plane:etcd", "node1 node2 node3")
  check.equal(names "etcd, bastion", "node1 node2 node3 bastion")
  check.equal(names "kube_node:!etcd:bastion", "node4 bastion")
  check.equal(names "!etcd:kube_node", "node4")
  check.equal(names "kube_node:&etcd:!node1", "node2 node3")
  check.equal(names "!etcd", "node4 bastion")
  check.equal(names "node2:node1:node2", "node2 node1")
  check.equal(names "calico_rr", "")
end)

test("ranges name hosts, subscripts count in groups", function()
  check.equal(names("w[0:2]", numbered), "w0 w1 w2")
  check.equal(names("w[0:2]:m[0:1]", numbered), "w0 w1 w2 m0 m1")
  check.equal(names("[m:m][0:1]", numbered), "m0 m1")
  check.equal(names("w[01]", numbered), "w0 w1")
  check.equal(names("w*[0]", numbered), "w0")
  check.equal(names "etcd[0]", "node1")
  check.equal(names "etcd[-1]", "node3")
  check.equal(names "etcd[1:]", "node2 node3")
  check.equal(names "etcd[0:1]:bastion", "node1 node2 bastion")
  check.contains(names "etcd[3]", "etcd[3]: there are only 3 hosts, counted from 0")
  check.contains(names "etcd[2:1]", "a range goes from a place")
  check.contains(names("w[0:3]", numbered), '"w[0:3]" names w3, which is no host')
end)

test("globs: groups and hosts, and never `all` by chance", function()
  check.equal(names "node?", "node1 node2 node3 node4")
  check.equal(names "al*:b*", 'no host and no group fits "al*"')
  check.equal(names("a-*:a.*", numbered), "a-b a.b")
  check.equal(names("[!w]?", numbered), "m0 m1")
  check.equal(names("w[0-1]", numbered), "w0 w1")
  check.equal(names("*", numbered), "w0 w1 w2 w10 m0 m1 a-b a.b x[1]")
end)

test("what is not there is an error with a suggestion, also when excluded", function()
  check.equal(names "nod1", 'there is no host or group "nod1"; did you mean "node1"?')
  check.equal(names "etc[0]", 'there is no host or group "etc"; did you mean "etcd"?')
  check.contains(names "all:!etdc", 'there is no host or group "etdc"; did you mean "etcd"?')
  check.contains(names "x*", 'no host and no group fits "x*"')
  check.contains(names "~zz", "~zz")
  check.contains(names "", "is not understood")
  check.contains(names "a b", "is not understood")
  check.contains(names "node1:&", "is not understood")
end)

test("localhost needs no inventory", function()
  check.equal(names "localhost", "localhost")
  check.equal(inv:connection("localhost").transport, "local")
end)

local function matches(expression, name)
  return check.ok(regex.compile(expression))(name)
end

test("regular expressions", function()
  for _, case in ipairs { { "w\\d+$", "w12", true }, { "w\\d+$", "w12x", false },
    { "(web|db)-[a-c]{2}", "db-ab", true }, { "(web|db)-[a-c]{2}", "db-ad", false },
    { "a.*b", "axxbxx", true }, { "b", "ab", false }, { "^ab?c*$", "abccc", true },
    { "(a|ab)(c|bcd)$", "abcd", true }, { "(a*)*b", ("a"):rep(5), false },
    { "[^w-]x", "ax", true }, { "[^w-]x", "-x", false }, { "a{2,}$", "aaa", true },
    { "a{2,3}$", "aaaa", false }, { "\\.x", ".x", true }, { "\\.x", "ax", false },
    { "[\\d.]+$", "10.0.0.1", true }, { "", "x", true }, { "()a", "a", true } } do
    check.equal(matches(case[1], case[2]), case[3], case[1])
  end
  for _, expression in ipairs { "(a", "a)", "*a", "a**", "(?=a)", "a+?", "[a", "\\bx",
    "(?P<n>a)" } do
    local _, message = regex.compile(expression)
    check.contains(message, "is not understood")
  end
  check.contains(names "~(node", "is not understood")
  check.raises("too many ways", matches, "(a*)*b", ("a"):rep(40))
end)
