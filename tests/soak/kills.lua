-- kbrun is killed at random moments of site.lua, and run again each time: whatever the moment, the
-- run after it ends in a working cluster, with nobody mending anything by hand. KBRUN_SOAK_KILLS
-- says how often (10), KBRUN_SOAK_SEED repeats the moments of an earlier test.
local test = ...
local check = require "lib.check"
local events = require "lib.events"
local labs = require "lib.lab"
local proc = require "kb.core.proc"
local program = require "lib.program"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local kills = math.tointeger(tonumber(sys.getenv "KBRUN_SOAK_KILLS" or "")) or 10
local seed = math.tointeger(tonumber(sys.getenv "KBRUN_SOAK_SEED" or "")) or os.time()

-- A whole run takes about this long on two idle cores; a kill comes somewhere in it.
local WHOLE = 150

local function command(inventory)
  return { program.kbrun, "playbooks/site.lua", "-i", inventory, "--json" }
end

-- Run it, and kill it after so many seconds unless it has ended by then.
local function killed_after(seconds, inventory)
  local process = check.ok(proc.spawn { argv = command(inventory), stdin = "null", stdout = "null",
    stderr = "null" })
  local ended
  do
    local _ <close> = task.within(seconds)
    ended = process:wait()
  end
  if not ended then
    process:kill(9)
    process:wait()
  end
  return not ended
end

local function answers(lab, address)
  local page = lab:ssh("a0", ("timeout 5 bash -c 'exec 3<>/dev/tcp/%s/30080; "
    .. "printf \"GET / HTTP/1.0\\r\\n\\r\\n\" >&3; head -1 <&3'"):format(address))
  return page:find(" 200 ", 1, true) ~= nil
end

local function whole_again(lab, inventory)
  local r = program.run(command(inventory))
  local run = events.read(r.out)
  check.equal(r.status, 0, table.concat(run.errors, "\n") .. r.err)
  local nodes = lab:ssh("a0", "sudo kubectl get nodes --no-headers")
  check.equal(select(2, nodes:gsub("[mw]%d +Ready ", "")), 6, nodes)
  for address in lab:run("inventory"):gmatch "[mw]%d:\n +ansible_host: (%S+)" do
    check.ok(answers(lab, address), "no page from " .. address)
  end
  return run.summary.steps.changed
end

test(("site.lua survives %d kills"):format(kills), function()
  io.write("  # seed ", seed, "\n")
  math.randomseed(seed)
  for i = 1, kills do
    local lab <close> = labs.open("kills", {})
    local dir = check.ok(sys.mkdtemp("/tmp/kbrun-test-"))
    local _ <close> = setmetatable({}, { __close = function()
      program.run { "rm", "-rf", dir }
    end })
    local inventory = dir .. "/inventory.yaml"
    check.ok(sys.write_file(inventory, (lab:run("inventory", "--cluster"):gsub("    cluster:\n",
      "%0      smoke: {keep: true, node_port: 30080}\n"))))
    local moment = math.random() * WHOLE
    local was_killed = killed_after(moment, inventory)
    local changed = whole_again(lab, inventory)
    io.write(("  # %d: %s %.1f s, then %d changes to a whole cluster\n"):format(i,
      was_killed and "killed after" or "done within", moment, changed))
    io.flush()
  end
end)
