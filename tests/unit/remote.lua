local test = ...
local check = require "lib.check"
local remote = require "kb.remote"
local shells = require "lib.shells"
local task = require "kb.core.task"

local function open()
  return check.ok(remote.open { transport = "local", name = "here" })
end

test("a command and its result", function()
  local r <close> = open()
  local result = check.ok(r:run("cat; echo bad >&2; exit 3", { stdin = "in" }))
  check.equal({ result.code, result.out, result.err }, { 3, "in", "bad\n" })
end)

test("a batch is one round trip and tells its commands apart", function()
  local r <close> = open()
  check.ok(r:run "true")
  local before = r:stats().trips
  local results = check.ok(r:batch {
    "echo a; echo b >&2", "exit 4", "cat; cd /; x=1", "echo \"[$x]\"; (", "", "printf c",
    "kill -9 $$", "printf d; printf e >&2", "sleep 100 & kill -9 $!; wait $!",
  })
  check.equal(r:stats().trips - before, 2, "one, and one more after the command that killed")
  local short = {}
  for i, one in ipairs(results) do
    short[i] = { one.code, one.signal or "", one.out }
  end
  check.equal(short[1], { 0, "", "a\n" })
  check.equal(results[1].err, "b\n")
  check.equal(short[2], { 4, "", "" })
  check.equal(short[3], { 0, "", "" })
  check.equal(short[4][1], 2)
  check.equal(short[5], { 0, "", "" })
  check.equal(short[6], { 0, "", "c" })
  check.equal(short[7], { 137, "KILL", "" })
  check.equal(short[8], { 0, "", "d" })
  check.equal(results[8].err, "e")
  check.equal(short[9], { 137, "", "" })
  check.equal(results[9].maybe_signal, "KILL", "only the shell of the batch knows")
  check.equal(#results, 9)
end)

test("a batch of any size is cut into requests that are not too long", function()
  local r <close> = open()
  local commands = {}
  for i = 1, 300 do
    commands[i] = "echo " .. i .. " # " .. ("'x"):rep(200)
  end
  local results = check.ok(r:batch(commands))
  check.equal(#results, 300)
  for i, one in ipairs(results) do
    check.equal(one.out, i .. "\n")
  end
  check.equal(r:stats().trips < 10, true)
  check.equal(check.ok(r:batch {}), {})
end)

test("tasks that want a shell at the same time get one each, up to a limit", function()
  local r <close> = open()
  local most, tasks = 0, {}
  for i = 1, 20 do
    tasks[i] = task.spawn(function()
      check.equal(check.ok(r:run("sleep 0.05; echo " .. i)).out, i .. "\n")
    end)
  end
  for _, t in ipairs(tasks) do
    t:join()
    most = math.max(most, r.shells)
  end
  check.equal(most <= 8 and most > 1, true)
end)

-- A connection that carries so many channels, as sshd's MaxSessions.
local function limited(count)
  local inner, open_now = shells.connect "dash", 0
  return {
    alive = function() return true end,
    close = function() end,
    exec = function(_, command)
      if open_now == count then
        return nil, "open failed", "ECLOSED"
      end
      open_now = open_now + 1
      local channel = inner:exec(command)
      return setmetatable({ close = function()
        channel:close()
        open_now = open_now - 1
      end, wait = function()
        return channel:wait()
      end }, { __index = channel })
    end,
  }
end

test("fewer sessions than tasks: they wait for each other", function()
  local r <close> = open()
  r.connection:close()
  r.connection = limited(2)
  local tasks = {}
  for i = 1, 6 do
    tasks[i] = task.spawn(r.run, r, "sleep 0.05; echo " .. i)
  end
  for i, t in ipairs(tasks) do
    local result = check.ok(t:join())
    check.equal(result.out, i .. "\n")
  end
  check.equal(r.most, 2)
end)

test("a shell that was lost is told, and the next command has a new one", function()
  local r <close> = open()
  local _, message, code = r:run "read a b c parent d </proc/$$/stat; kill -9 $parent"
  check.equal(code, "ECLOSED")
  check.contains(message, "here: the shell was lost")
  check.equal(check.ok(r:run "echo again").out, "again\n")
  check.ok(r:run "sleep 3 &")
  check.equal(check.ok(r:run "echo clean").out, "clean\n")
end)

test("a command that does not take its input can be ended too", function()
  local r <close> = open()
  local pid
  local _, _, code = r:run("echo $$; sleep 300", {
    stdin = function() return ("x"):rep(100000) end,
    timeout = 0.5,
    on_output = function(_, data) pid = data:match "%d+" end,
  })
  check.equal(code, "ETIMEDOUT")
  local _ <close> = task.within(3)
  while check.ok(r:run("kill -0 " .. pid)).code == 0 do
    task.sleep(0.01)
  end
end)

test("closing ends what runs; after it there is no connection", function()
  local r = open()
  local t = task.spawn(r.run, r, "sleep 300")
  task.sleep(0.1)
  r:close()
  local _, _, code = t:join()
  check.equal(code, "ECLOSED")
  _, _, code = r:run "true"
  check.equal(code, "ECLOSED")
end)

test("stats count", function()
  local r <close> = open()
  check.ok(r:run "head -c 1000 /dev/zero")
  local stats = r:stats()
  check.equal(stats.trips, 1)
  check.equal(stats.received > 1000 and stats.sent > 100 and stats.connecting > 0, true)
end)
