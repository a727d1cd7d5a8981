-- What explains a failure is shell text that works, also where hardly anything of it is there.
local test = ...
local check = require "lib.check"
local evidence = require "modules.evidence"
local scratch = require "lib.scratch"
local stub = require "lib.stub"

local cluster = { members = { { name = "m0", address = "127.0.0.1" } } }

test("every piece is valid shell text", function()
  for name, text in pairs { unit = evidence.unit "etcd", ports = evidence.ports(9, 10),
    certificate = evidence.certificate "/it's", served = evidence.served "127.0.0.1:9",
    exited = evidence.exited(), etcd = evidence.etcd(cluster),
    balancer = evidence.balancer "masters", nodes = evidence.nodes "/etc/x",
    pods = evidence.pods "/etc/x" } do
    local r = stub.shell("sh -n <<'END'\n" .. text .. "\nEND")
    check.equal(r.code, 0, name .. ": " .. r.err)
  end
end)

test("a port that nobody holds, and one that somebody does", function()
  check.equal(stub.shell(evidence.ports(9)).out, "nobody listens on 9\n")
end)

test("a certificate's names and dates", function()
  local dir <close> = scratch()
  local path = dir.path .. "/c.pem"
  local made = stub.shell(("openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -out %s "
    .. "-subj /CN=api -days 3 -addext subjectAltName=DNS:m0.example 2>/dev/null"):format(path))
  check.equal(made.code, 0)
  local out = stub.shell(evidence.certificate(path)).out
  for _, words in ipairs { "CN = api", "notBefore=", "notAfter=", "DNS:m0.example", "now " } do
    check.contains(out, words)
  end
  check.contains(stub.shell(evidence.served "127.0.0.1:9").out, "no certificate is served")
end)

test("what exited containers said last", function()
  local dir <close> = scratch()
  stub.shell(("cat >%s/docker <<'END'\n#!/bin/sh\ncase $1 in\nps) echo c1;;\n"
    .. "inspect) echo '/k8s_kube-apiserver ended with 1 at noon';;\n"
    .. "logs) echo 'the reason' >&2;;\nesac\nEND\nchmod 755 %s/docker"):format(dir.path, dir.path))
  check.equal(stub.shell(("PATH=%s:$PATH\n%s"):format(dir.path, evidence.exited())).out,
    "/k8s_kube-apiserver ended with 1 at noon\nthe reason\n")
end)
