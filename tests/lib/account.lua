--- A user of this machine for the length of a test, with a password and a home.
local proc = require "kb.core.proc"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local M = {}

local count = 0

local function run(argv, input)
  local process, streams = assert(proc.spawn { argv = argv, stdout = "null", stderr = "null" })
  if input then
    streams.stdin:write(input)
  end
  streams.stdin:close()
  return process:wait() == 0 or error(table.concat(argv, " ") .. " failed", 0)
end

local Account = {}
Account.__index = Account

--- Remove the user and the home.
function Account:close()
  local _ <close> = task.shield(10)
  run { "userdel", "-f", "-r", self.name }
end

Account.__close = Account.close

--- Make a user; needs root.
function M.new()
  count = count + 1
  local self = setmetatable({}, Account)
  self.name = ("kbtest%d-%d"):format(sys.self().pid, count)
  self.password = "a pass word " .. self.name
  self.home = "/tmp/" .. self.name
  run { "useradd", "-m", "-k", "/dev/null", "-d", self.home, "-s", "/bin/sh", self.name }
  run({ "chpasswd" }, ("%s:%s\n"):format(self.name, self.password))
  return self
end

return M
