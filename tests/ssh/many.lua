-- Very many hosts at once: addresses of 127.0.0.0/8 with one sshd.
local test = ...
local check = require "lib.check"
local program = require "lib.program"
local reach = require "lib.reach"
local sshd = require "lib.sshd"
local sys = require "kb.core.sys"

-- A sanitizer takes memory for itself, and time: then the number is what is tested, not the memory.
local sanitized = sys.read_file("/proc/self/maps"):find("libasan", 1, true) ~= nil
local HOSTS, MOST = sanitized and 200 or 1000, 300 -- MB

test(("%d hosts are connected, each with its shell, in under %d MB"):format(HOSTS, MOST), function()
  -- One machine is all of them here: what its user's shell reads at each login costs too much.
  local server <close> = sshd.new { settings = { "MaxStartups 1000", "SetEnv HOME=/nonexistent" } }
  server:listen { everywhere = true }
  local target = reach.target(server)
  local script = server:file("many.lua", ([[
    local remote, task = require "kb.remote", require "kb.core.task"
    local all, tasks, gate = {}, {}, require("kb.transport.gate").new(50)
    for i = 0, %d do
      tasks[i] = task.spawn(function()
        local _ <close> = gate:enter()
        local r = assert(remote.open { name = "h" .. i, port = %d, user = %q, keys = { %q },
          address = ("127.0.%%d.%%d"):format(1 + i // 250, 1 + i %% 250), agent = false,
          host_key = { %q } })
        all[#all + 1] = r
        assert(assert(r:run("echo " .. i)).out == i .. "\n")
      end)
    end
    for i = 0, #tasks do
      tasks[i]:join()
    end
    for _, r in ipairs(all) do
      assert(r:alive())
    end
    print(#all, require("kb.core.sys").read_file("/proc/self/status"):match("VmHWM:%%s+(%%d+) kB"))
    for _, r in ipairs(all) do
      r:close()
    end
  ]]):format(HOSTS - 1, target.port, target.user, target.keys[1], target.host_key[1]))
  local r = program.run { program.kbrun, "lua", script }
  check.equal(r.status, 0, r.err)
  local hosts, kilobytes = r.out:match("^(%d+)%s+(%d+)")
  check.equal(tonumber(hosts), HOSTS)
  io.write(("# %s hosts: %d MB\n"):format(hosts, kilobytes // 1024))
  check.equal(sanitized or tonumber(kilobytes) < MOST * 1024, true, kilobytes .. " kB")
end)
