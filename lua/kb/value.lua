--- Values that one host gives and others wait for.

local current = require "kb.current"
local err = require "kb.err"
local unknown = require "kb.unknown"

local Value = { __name = "kb.value" }
Value.__index = Value

local M = {}

--- A value that others wait for. See kb.value.
-- @param name string
-- @return value
function M.new(name)
  return setmetatable({ name = name }, Value)
end

--- Give the value.
-- @param given any
function Value:set(given)
  self.given = { given }
  if current.run then
    current.run.exchange:given()
  end
end

--- Wait for the value.
-- @return what was set; in a dry run an unknown when nobody is left to set it
-- @raise kb.err when nobody is left to set it
function Value:get()
  local run = current.run
  run.exchange:await(function()
    return self.given
  end)
  run:learn()
  if self.given then
    return self.given[1]
  elseif not run.apply then
    return unknown.new("known after " .. self.name)
  end
  local file, line = err.position()
  err.raise("failed", ("nobody is left to give %s"):format(self.name), { file = file, line = line })
end

return M
