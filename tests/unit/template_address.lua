-- The filters on addresses: Debian's ansible-core does not come with them, so
-- that the answers here are those of the standards and of `ipaddr`'s manual.
local test = ...
local check = require "lib.check"
local template = require "kb.template"

local function answers(rows)
  for _, row in ipairs(rows) do
    local expression = check.ok(template.expression(row[1]))
    check.equal(expression:evaluate {}, row[2], row[1])
  end
end

test("ipaddr tells addresses from other text", function()
  answers {
    { "'192.168.0.1' | ipaddr", "192.168.0.1" }, { "'192.168.0.256' | ipaddr", false },
    { "'localhost' | ipaddr", false }, { "'::1' | ipaddr", "::1" }, { "'1.2.3' | ipaddr", false },
    { "'fe80::1%eth0' | ipaddr", false }, { "'10.0.0.1' | ipv6", false },
    { "'10.0.0.1' | ansible.utils.ipv4", "10.0.0.1" }, { "5 | ipaddr", false },
    { "'1:2:3:4:5:6:7:8:9' | ipaddr", false }, { "'::ffff:1.2.3.4' | ipv6", "::ffff:1.2.3.4" },
    { "['10.0.0.1', 'x', '::1/64'] | ipaddr", { "10.0.0.1", "::1/64" } },
  }
end)

test("ipaddr answers questions about networks", function()
  answers {
    { "'192.0.2.1/24' | ipaddr('address')", "192.0.2.1" },
    { "'192.0.2.1/24' | ipaddr('network')", "192.0.2.0" },
    { "'192.0.2.1/24' | ipaddr('network/prefix')", "192.0.2.0/24" },
    { "'192.0.2.1/24' | ipaddr('netmask')", "255.255.255.0" },
    { "'192.0.2.1/24' | ipaddr('broadcast')", "192.0.2.255" },
    { "'192.0.2.1/24' | ipaddr('prefix')", 24 }, { "'192.0.2.1/24' | ipaddr('size')", 256 },
    { "'192.0.2.0/24' | ipaddr('net')", "192.0.2.0/24" },
    { "'192.0.2.1/24' | ipaddr('net')", false }, { "'10.0.0.0/8' | ipaddr(1)", "10.0.0.1/8" },
    { "'10.0.0.0/8' | ipaddr('-1')", "10.255.255.255/8" }, { "'10.0.0.0/30' | ipaddr(9)", false },
    { "'10.1.2.3' | ipaddr('10.0.0.0/8')", "10.1.2.3" },
    { "'11.1.2.3' | ipaddr('10.0.0.0/8')", false },
    { "'10.0.0.1' | ipaddr('private')", "10.0.0.1" },
    { "'8.8.8.8' | ipaddr('public')", "8.8.8.8" },
    { "'10.96.0.0/255.240.0.0' | ipaddr('prefix')", 12 },
    { "'192.0.2.1' | ipaddr('revdns')", "1.2.0.192.in-addr.arpa." },
    { "'2001:db8:0:0:1:0:0:1/64' | ipaddr('network/prefix')", "2001:db8::/64" },
    { "'2001:0DB8::0001' | ipaddr('address')", "2001:db8::1" },
    { "'10.0.0.5/24' | ipaddr('first_usable')", "10.0.0.1" },
    { "'10.0.0.5/24' | ipaddr('last_usable')", "10.0.0.254" },
    { "'10.0.0.1' | ipaddr('version')", 4 },
  }
end)

test("addresses are counted and wrapped", function()
  answers {
    { "'::1' | ipwrap", "[::1]" }, { "'10.0.0.1' | ipwrap", "10.0.0.1" },
    { "'10.244.0.0/16' | ipsubnet(24)", 256 },
    { "'10.244.0.0/16' | ipsubnet(24, 1)", "10.244.1.0/24" },
    { "'10.244.0.0/16' | ipsubnet(24, -1)", "10.244.255.0/24" },
    { "'10.0.0.255' | ipmath(1)", "10.0.1.0" }, { "'10.0.1.0' | ipmath(-1)", "10.0.0.255" },
    { "'10.96.0.0/12' | nthhost(10)", "10.96.0.10" },
    { "'10.0.0.0/8' | network_in_network('10.1.0.0/16')", true },
    { "'10.0.0.0/16' | network_in_network('10.1.0.0/16')", false },
  }
end)

test("an unknown question is an error", function()
  local _, problem = template.expression("'10.0.0.1' | ipaddr('nonsense')"):evaluate {}
  check.contains(problem, "ipaddr: unknown query 'nonsense'")
end)
