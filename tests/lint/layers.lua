-- Arrows point down: who may include and require whom (docs/style.md).
local test = ...
local tree = require "lib.tree"

-- What a header that is not ours belongs to. libc's may be used by all.
local foreign = {
  { "^lua", "lua" }, { "^lauxlib", "lua" }, { "^openssl/", "openssl" }, { "^libssh2", "libssh2" },
  { "^yaml%.h", "libyaml" }, { "^jansson", "jansson" }, { "^zstd", "zstd" },
  { "^zlib%.h", "zlib" },
  { "^sqlite3", "sqlite" }, { "^curl/", "libcurl" }, { "^archive", "libarchive" },
}

local libc = {}
for name in ([[arpa/inet ctype dirent elf errno fcntl fnmatch glob grp inttypes libgen limits
  locale math net/if netdb netinet/in netinet/tcp poll pthread pty pwd sched signal spawn stdalign
  stdarg stdatomic
  stdbool stddef stdint stdio stdlib string strings sys/epoll sys/eventfd sys/file sys/ioctl
  sys/mman sys/pidfd sys/prctl sys/random sys/resource sys/sendfile sys/signalfd sys/socket sys/stat
  sys/statvfs sys/sysmacros sys/syscall sys/time sys/timerfd sys/types sys/uio sys/un sys/wait
  termios time unistd wchar]]):gmatch("%S+") do
  libc[name .. ".h"] = true
end

local function library_of(header)
  for _, row in ipairs(foreign) do
    if header:find(row[1]) then
      return row[2]
    end
  end
end

local base = { ["kb.h"] = true, ["loop.h"] = true, ["task.h"] = true, ["bind.h"] = true,
  ["stream.h"] = true, ["work.h"] = true, ["libs.h"] = true }

-- What the files beside the libraries may include of ours, and of others.
local rules = {
  ["loop.c"] = { ours = { "kb.h", "loop.h" }, others = {} },
  ["loop.h"] = { ours = { "kb.h" }, others = {} },
  ["task_endless.c"] = { ours = { "task_endless.h", "task.h", "loop.h", "bind.h", "kb.h" },
    others = { "lua" } },
  ["task_endless.h"] = { ours = {}, others = { "lua" } },
  ["task.c"] = { ours = { "task.h", "task_endless.h", "loop.h", "bind.h", "kb.h" },
    others = { "lua" } },
  ["task.h"] = { ours = { "kb.h", "loop.h" }, others = { "lua" } },
  ["bind.c"] = { ours = { "bind.h", "loop.h", "task.h", "kb.h" }, others = { "lua" } },
  ["bind.h"] = { ours = { "kb.h" }, others = { "lua" } },
  ["work.c"] = { ours = { "work.h", "task.h", "loop.h", "bind.h", "kb.h" }, others = { "lua" } },
  ["work.h"] = { ours = {}, others = { "lua" } },
}

local function holds(list, value)
  for _, v in ipairs(list) do
    if v == value then
      return true
    end
  end
  return false
end

-- ssh of lib_ssh.c, ssh_queue.c and ssh.h: the files of one library.
local function family(name)
  return name:match("^lib_(%a+)") or name:match("^(%a+)")
end

local function ours_allowed(name, header)
  if rules[name] then
    return holds(rules[name].ours, header)
  end
  return base[header] or family(header) == family(name)
end

local function includes(path)
  local list = {}
  for n, line in tree.lines(path) do
    local open, header = line:match('^#include ([<"])([^>"]+)')
    if open then
      list[#list + 1] = { at = path .. ":" .. n, header = header, ours = open == '"' }
    end
  end
  return list
end

test("C: each file includes only what its layer may", function()
  local findings = {}
  for _, path in ipairs(tree.files("^engine/.*%.[ch]$")) do
    local name = path:match("[^/]+$")
    for _, i in ipairs(includes(path)) do
      local library = not i.ours and library_of(i.header)
      if i.ours and not ours_allowed(name, i.header) then
        findings[#findings + 1] = ("%s: %s may not include %s"):format(i.at, name, i.header)
      elseif not i.ours and not library and not libc[i.header] then
        findings[#findings + 1] = ("%s: <%s> is of no library that tests/lint/layers.lua knows")
          :format(i.at, i.header)
      elseif library and rules[name] and not holds(rules[name].others, library) then
        findings[#findings + 1] = ("%s: %s knows nothing of %s"):format(i.at, name, library)
      end
    end
  end
  tree.none(findings)
end)

test("C: each library binds at most one foreign one", function()
  local bound, findings = {}, {}
  for _, path in ipairs(tree.files("^engine/.*%.[ch]$")) do
    for _, i in ipairs(includes(path)) do
      local library, who = not i.ours and library_of(i.header), family(path:match("[^/]+$"))
      if library and library ~= "lua" then
        if bound[who] and bound[who] ~= library then
          findings[#findings + 1] = ("%s: %s already binds %s"):format(i.at, who, bound[who])
        end
        bound[who] = library
      end
    end
  end
  tree.none(findings)
end)

test("C: only the scheduler resumes coroutines", function()
  local findings = {}
  for _, path in ipairs(tree.files("^engine/.*%.c$")) do
    for n, line in tree.lines(path) do
      if line:find("lua_resume%s*%(") and not path:find("^engine/task") then
        findings[#findings + 1] = path .. ":" .. n
      end
    end
  end
  tree.none(findings)
end)

local function requires(path)
  local list = {}
  for n, line in tree.lines(path) do
    for name in line:gmatch("require%s*%(?%s*[\"']([%w_.]+)[\"']") do
      list[#list + 1] = { at = path .. ":" .. n, name = name, top = line:find("^local ") ~= nil }
    end
  end
  return list
end

local function area_of(path)
  return path:match("^modules/([%w_]+)")
end

-- Why the file at path may not require the name; nil when it may.
local function objection(path, name)
  if path:find("^playbooks/") or path:find("^modules/") then
    if name:find("^kb%.core") or name == "lpeg" then
      return "the engine is below the language"
    end
  end
  local area, inner = name:match("^modules%.([%w_]+)(.*)$")
  if path:find("^lua/") and area then
    return "the language is below the modules"
  end
  if path:find("^modules/") and area and area ~= area_of(path) and inner ~= "" then
    return "that is inside of another module"
  end
  if name == "kb.core.ssh" and not path:find("^lua/kb/transport/") and path:find("^lua/") then
    return "only transports speak SSH"
  end
end

test("Lua: each file requires only what its layer may", function()
  local findings = {}
  for _, path in ipairs(tree.files("^[lmp][%w]+/.*%.lua$")) do
    for _, r in ipairs(requires(path)) do
      local why = objection(path, r.name)
      if why then
        findings[#findings + 1] = ("%s: %s: %s"):format(r.at, r.name, why)
      end
    end
  end
  tree.none(findings)
end)

test("Lua: no module requires itself by way of others", function()
  local graph, findings = {}, {}
  for _, path in ipairs(tree.files("^lua/.*%.lua$")) do
    local name = path:gsub("^lua/", ""):gsub("/init%.lua$", ""):gsub("%.lua$", ""):gsub("/", ".")
    graph[name] = {}
    for _, r in ipairs(requires(path)) do
      if r.top then
        table.insert(graph[name], r.name)
      end
    end
  end
  local state = {}
  local function visit(name, trail)
    if state[name] == "open" then
      findings[#findings + 1] = trail .. " -> " .. name
    elseif not state[name] then
      state[name] = "open"
      for _, below in ipairs(graph[name] or {}) do
        visit(below, trail .. " -> " .. name)
      end
      state[name] = "done"
    end
  end
  for name in pairs(graph) do
    visit(name, "")
  end
  tree.none(findings)
end)
