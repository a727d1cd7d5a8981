--- A dropbear server for tests, which reads the keys in a user's home.
local proc = require "kb.core.proc"
local sshd = require "lib.sshd"
local sys = require "kb.core.sys"

local M = {}

local function run(argv)
  local process, streams = assert(proc.spawn { argv = argv, stdin = "null", stderr = "null" })
  local out = {}
  for part in function()
    return streams.stdout:read()
  end do
    out[#out + 1] = part
  end
  streams.stdout:close()
  return process:wait() == 0 and table.concat(out) or error(argv[1] .. " failed", 0)
end

--- Start one for a user of lib.account. It has what servers of lib.sshd have;
-- host_key is the public key line.
function M.new(user)
  local self = sshd.new()
  local path = self.dir .. "/dropbear_host_key"
  local text = run { "dropbearkey", "-t", "ed25519", "-f", path }
  self.host_key = text:match "(ssh%-ed25519 [^\n]+)"
  sys.mkdir(user.home .. "/.ssh", tonumber("700", 8))
  function self.authorize(_, line)
    local file = user.home .. "/.ssh/authorized_keys"
    assert(sys.write_file(file, line .. "\n"))
    run { "chown", "-R", user.name, user.home .. "/.ssh" }
  end
  self:authorize(self:public(self.user_key))
  self:listen_with(function(port)
    return { "dropbear", "-F", "-E", "-r", path, "-p", "127.0.0.1:" .. port }
  end)
  function self.public(_, file)
    return file == self.host_key and file or sshd.public(file)
  end
  return self
end

return M
