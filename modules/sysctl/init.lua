--- Kernel parameters.

local facts = require "modules.sysctl.facts"
local files = require "modules.files"
local kb = require "kb"

local M = {}

-- The line of the key in the file of parameters, whatever its value.
local function line_pattern(key)
  return "^%s*%-?%s*" .. key:gsub("%p", "%%%0") .. "%s*="
end

local function check(args)
  if not args.key:find("^[%w_][%w_./:-]*$") or args.key:find("..", 1, true) then
    kb.refuse(("%q is not the name of a kernel parameter"):format(args.key),
      'such as "net.ipv4.ip_forward"')
  elseif args.value:find("\n") then
    kb.refuse("the value of a kernel parameter has one line")
  end
end

local function running(args, value)
  return function(ask)
    local now = kb.after(args.key, function(key)
      return ask("sysctl.running", key)
    end)
    if now == false then
      kb.refuse("the kernel has no parameter " .. args.key,
        "a module may have to be loaded first: kmod.module")
    elseif now == value then
      return nil, "already " .. value
    end
    return { title = "", actions = { { run = ("printf '%%s\\n' %s >%s"):format(kb.quote(value),
      kb.quote(facts.path(args.key))), fails = "the kernel does not take the value" } },
      effect = { { "sysctl.running", args.key, value } } }
  end
end

--- A kernel parameter: its running value, and the one after a boot.
-- @param key string: such as "net.ipv4.ip_forward"
-- @param value string: what it is set to
-- @param file path: the file that sets it at boot
M.value = kb.op {
  name = "sysctl.value",
  args = {
    { "key", "string", 'such as "net.ipv4.ip_forward"', at = 1, required = true },
    { "value", "any", "what it is set to", required = true },
    { "file", "path", "the file that sets it at boot", default = "/etc/sysctl.d/90-kbrun.conf" },
  },
  facts = function(args)
    return { { "sysctl.running", args.key }, { "file.stat", args.file },
      { "file.content", args.file }, { "user.self" } }
  end,
  plan = function(args, fact)
    args.value = tostring(args.value)
    check(args)
    local value = args.value:gsub("^%s+", ""):gsub("%s+$", ""):gsub("%s+", " ")
    return kb.sequence(fact, { function(ask)
      return kb.plan(files.line, ask, { args.file, line = ("%s = %s"):format(args.key, value),
        match = line_pattern(args.key), create = true })
    end, running(args, value) }, ("%s = %s"):format(args.key, value))
  end,
}

return M
