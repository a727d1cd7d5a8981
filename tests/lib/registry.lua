--- A registry of images on the loopback: Debian's docker-registry, with TLS of an authority of its
--- own, ca.pem in its directory.
local check = require "lib.check"
local daemons = require "lib.daemons"
local imagefile = require "lib.imagefile"
local net = require "kb.core.net"
local program = require "lib.program"
local sys = require "kb.core.sys"
local web = require "lib.web"

local M = {}

local function free_port()
  local listener = check.ok(net.listen("127.0.0.1", 0))
  local port = listener:port()
  listener:close()
  return port
end

--- Start one.
-- @param dir table from lib.scratch
-- @return string: its address; and a value that ends it when it closes
function M.start(dir)
  local address = "127.0.0.1:" .. free_port()
  web.certificates(dir.path)
  check.ok(sys.write_file(dir.path .. "/registry.yml", ([[
version: 0.1
log: {level: error}
storage:
  filesystem: {rootdirectory: %s/registry}
http:
  addr: %s
  tls: {certificate: %s/web.pem, key: %s/web.key}
]]):format(dir.path, address, dir.path, dir.path)))
  return address, daemons.start(dir, "registry", { "docker-registry", "serve",
    dir.path .. "/registry.yml" }, { "curl", "-sf", "--cacert", dir.path .. "/ca.pem",
    "https://" .. address .. "/v2/" })
end

--- Put an image into it.
-- @param dir table from lib.scratch: the registry's
-- @param address string
-- @param name string: "lab/web:1.0"
-- @param layers list from lib.imagefile
-- @return string: the image's id
function M.push(dir, address, name, layers)
  local image = imagefile.image(layers)
  local tar = imagefile.write(dir, "push.tar", imagefile.docker_files(image, { name }))
  local r = program.run({ "skopeo", "copy", "-q", "--insecure-policy", "docker-archive:" .. tar,
    ("docker://%s/%s"):format(address, name) }, { env = { SSL_CERT_FILE = dir.path .. "/ca.pem" } })
  check.equal(r.status, 0, r.err)
  return image.id
end

return M
