-- Files that an operation fetches to this machine, kept by their digest.
local test = ...
local check = require "lib.check"
local crypto = require "kb.core.crypto"
local fetch = require "kb.fetch"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"
local task = require "kb.core.task"
local web = require "lib.web"

-- A server, and a cache of our own.
local function ground()
  local dir = scratch()
  local server = web.start(dir.path, { plain = true })
  local before = sys.getenv("XDG_CACHE_HOME")
  sys.setenv("XDG_CACHE_HOME", dir.path)
  return server, setmetatable({}, { __close = function()
    sys.setenv("XDG_CACHE_HOME", before)
    server:close()
    getmetatable(dir).__close(dir)
  end })
end

test("a file is fetched once, also when many want it", function()
  local server, closing = ground()
  local _ <close> = closing
  local url, sha256 = server:put("a", "text"), crypto.digest("sha256", "text")
  local tasks = {}
  for i = 1, 3 do
    tasks[i] = task.spawn(fetch.fetch, url, sha256)
  end
  for _, one in ipairs(tasks) do
    check.ok(one:join())
  end
  check.equal({ sys.read_file(fetch.path(sha256)), server:asked() }, { "text", { "a - 200" } })
end)

test("another file is refused; what is cut is tried again, what is not there is not", function()
  local server, closing = ground()
  local _ <close> = closing
  local url, sha256 = server:put("a", "text"), crypto.digest("sha256", "other")
  local ok, message, code = fetch.fetch(url, sha256)
  check.equal({ ok, code }, { nil, "EBADMSG" })
  check.contains(message, url .. " has the SHA-256 " .. crypto.digest("sha256", "text"))
  server:misbehave("a", "cut=2")
  server:forget()
  ok, message, code = fetch.fetch(url, crypto.digest("sha256", "text"))
  check.equal({ ok, code, #server:asked() }, { nil, "ECLOSED", 3 })
  check.contains(message, url)
  server:misbehave("a", "status=404")
  server:forget()
  ok, message = fetch.fetch(url, crypto.digest("sha256", "text"))
  check.equal({ ok, #server:asked() }, { nil, 1 })
  check.contains(message, "404")
  check.equal(sys.list(fetch.path(""):match("^(.*)/")), {})
end)
