--- Labs for tests: real machines that are gone when the test is.
--
--     local lab <close> = labs.open("faults", { "a0", "w0" })
--     check.equal(lab:ssh("w0", "hostname"), "w0\n")
local crypto = require "kb.core.crypto"
local program = require "lib.program"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local M = {}
local lab = {}

local command = sys.realpath "tests/lab/lab"

--- A lab's name: the test's word and this tree, so that two trees on one
-- machine do not meet, and a run finds what a killed one left.
-- @param word string
-- @return string
function M.name(word)
  return word .. "-" .. crypto.digest("sha256", sys.self().cwd):sub(1, 6)
end

--- A lab of these nodes, answering. What an earlier run left is removed first.
-- @param word string: what the lab is for
-- @param nodes list of strings: the nodes, or options of `lab up`
-- @return lab: to be closed
function M.open(word, nodes)
  local self = setmetatable({ name = M.name(word) }, { __index = lab, __close = lab.close })
  self:run("down")
  local ok, err = pcall(self.run, self, "up", table.unpack(nodes))
  if not ok then
    self:close()
    error(err, 0)
  end
  return self
end

--- Run a command of tests/lab/lab on this lab and expect success.
-- @return string: what it printed
function lab:run(...)
  local r = self:try(...)
  if r.status ~= 0 then
    error(("lab %s: status %s\n%s%s"):format(table.concat({ ... }, " "), r.status, r.out, r.err), 2)
  end
  return r.out
end

--- The same, whatever comes of it.
-- @return table: status, out, err
function lab:try(...)
  return program.run { command, "--name", self.name, ... }
end

--- Run a command on a node as ops and expect success.
-- @return string: what it printed
function lab:ssh(node, text)
  return self:run("ssh", node, text)
end

--- Wait until a question has the answer true, or raise after so many seconds.
-- @param seconds number
-- @param what string: what is waited for
-- @param question function without arguments
function M.await(seconds, what, question)
  local deadline = task.now() + seconds
  while not question() do
    if task.now() > deadline then
      error(("waited %d s for %s, in vain"):format(seconds, what), 2)
    end
    task.sleep(0.2)
  end
end

--- Remove the lab and all it made.
function lab:close()
  local _ <close> = task.shield(60)
  self:run("down")
end

return M
