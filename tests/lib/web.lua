--- A web server for tests: https with a certificate of an authority of its own, on 127.0.0.1.
-- It serves the files of a directory, knows ranges and ETags, and misbehaves as it is told.
local check = require "lib.check"
local proc = require "kb.core.proc"
local program = require "lib.program"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local M = {}

local Server = {}
Server.__index = Server

--- An authority and a certificate for 127.0.0.1: ca.pem, web.pem and web.key.
-- @param dir string
function M.certificates(dir)
  local made = program.run({ "sh", "-ec", [[
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem \
  -subj /CN=test-ca -days 2 -addext basicConstraints=critical,CA:TRUE 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout web.key -out web.csr \
  -subj /CN=127.0.0.1 2>/dev/null
printf 'subjectAltName=IP:127.0.0.1\n' >web.ext
openssl x509 -req -in web.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out web.pem \
  -extfile web.ext 2>/dev/null]] }, { cwd = dir })
  check.equal(made.status, 0, made.err)
end

--- Start it.
-- @param dir string: what is served is in dir/www; its certificates and its log are in dir
-- @param options table or nil: plain (boolean: http instead of https)
-- @return server: url ("https://127.0.0.1:PORT/"), ca (path); it ends when it is closed
function M.start(dir, options)
  sys.mkdir(dir .. "/www")
  if not sys.stat(dir .. "/web.pem") then
    M.certificates(dir)
  end
  local process, streams = check.ok(proc.spawn { argv = { "python3",
    sys.self().cwd .. "/tests/lib/web.py", dir, options and options.plain and "http" or "https" },
    stdin = "null", stderr = "null" })
  local self = setmetatable({ process = process, streams = streams, dir = dir,
    ca = dir .. "/ca.pem" }, Server)
  local _ <close> = task.within(30)
  local said = ""
  while not said:find("\n") do
    said = said .. check.ok(streams.stdout:read())
  end
  local port = said:match("^(%d+)\n$")
  self.url = ("%s://127.0.0.1:%s/"):format(options and options.plain and "http" or "https", port)
  return self
end

--- Put a file there.
-- @param name string
-- @param content string
-- @return string: its URL
function Server:put(name, content)
  check.ok(sys.write_file(self.dir .. "/www/" .. name, content))
  return self.url .. name
end

--- Tell it to misbehave for a file, until told otherwise.
-- @param name string
-- @param how string or nil: "cut=N" (close after N bytes of each answer), "no-ranges", "no-etag",
--   "status=N", "to=URL" (redirect there), "stall=N" (send nothing more after N bytes),
--   "together=N" (answer when so many have asked)
function Server:misbehave(name, how)
  check.ok(sys.write_file(self.dir .. "/" .. name .. ".how", how or ""))
end

--- What was asked of it.
-- @return list of strings: "NAME RANGE STATUS", RANGE being "-" or "N-"
function Server:asked()
  local list = {}
  for line in (sys.read_file(self.dir .. "/log") or ""):gmatch("[^\n]+") do
    list[#list + 1] = line
  end
  return list
end

--- Forget what was asked.
function Server:forget()
  check.ok(sys.write_file(self.dir .. "/log", ""))
end

function Server:close()
  self.process:kill()
  self.process:wait()
  self.streams.stdout:close()
end
Server.__close = Server.close

return M
