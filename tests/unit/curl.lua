-- Transfers by libcurl in our loop: against a server of our own, which also misbehaves.
local test = ...
local check = require "lib.check"
local curl = require "kb.core.curl"
local scratch = require "lib.scratch"
local task = require "kb.core.task"
local web = require "lib.web"

local big = ("0123456789abcdef"):rep(100000)

local function all(transfer)
  local parts = {}
  while true do
    local piece, message, code = transfer:read()
    if not piece then
      return table.concat(parts), message, code
    end
    parts[#parts + 1] = piece
  end
end

test("a file comes whole, many at a time, and a slow reader gets it too", function()
  local dir <close> = scratch()
  local server <close> = web.start(dir.path)
  local url = server:put("big", big)
  local session <close> = curl.session()
  local tasks = {}
  for i = 1, 4 do
    tasks[i] = task.spawn(function()
      local transfer <close> = session:fetch { url = url, protocols = "https", ca = server.ca }
      task.sleep(i == 4 and 0.3 or 0) -- longer than it takes to fill what it may hold
      local text, message = all(transfer)
      check.equal({ text == big, message }, { true, nil })
      local answer = transfer:answer()
      check.equal({ answer.status, answer.url, answer.size, #answer.etag }, { 200, url, #big, 18 })
    end)
  end
  for _, one in ipairs(tasks) do
    one:join()
  end
end)

test("it goes on from a byte", function()
  local dir <close> = scratch()
  local server <close> = web.start(dir.path)
  local url = server:put("big", big)
  local session <close> = curl.session()
  local transfer <close> = session:fetch { url = url, protocols = "https", ca = server.ca,
    from = 1000000 }
  check.equal(all(transfer) == big:sub(1000001), true)
  check.equal(server:asked(), { "big 1000000- 206" })
end)

local function refused(session, options, words, code)
  local transfer <close> = check.ok(session:fetch(options))
  local text, message, found = all(transfer)
  check.contains(message, words)
  check.equal({ text, found }, { "", code })
end

test("what is refused says why", function()
  local dir <close> = scratch()
  local server <close> = web.start(dir.path)
  local plain <close> = web.start(dir.path, { plain = true })
  local url, ca = server:put("f", "text"), server.ca
  local session <close> = curl.session()
  refused(session, { url = url, protocols = "https" }, "certificate", "EREFUSED")
  refused(session, { url = url:gsub("127.0.0.1", "localhost"), protocols = "https", ca = ca },
    "localhost", "EREFUSED")
  refused(session, { url = server.url .. "none", protocols = "https", ca = ca }, "404", "EREFUSED")
  refused(session, { url = "file:///etc/hostname", protocols = "https" }, "file", "EINVAL")
  refused(session, { url = plain.url .. "f", protocols = "https" }, "http", "EINVAL")
  refused(session, { url = "https://127.0.0.1:1/", protocols = "https" }, "port 1", "EREFUSED")
  for _, to in ipairs { plain.url .. "f", "file:///etc/hostname" } do
    server:misbehave("f", "to=" .. to)
    refused(session, { url = url, protocols = "https", redirect_protocols = "https", ca = ca },
      "not supported or disabled", "EINVAL")
  end
  server:misbehave("f", "to=" .. url)
  refused(session, { url = url, protocols = "https", redirect_protocols = "https", ca = ca,
    redirects = 3 }, "Maximum (3) redirects", "EREFUSED")
  server:misbehave("f", nil)
end)

test("what is cut, stalls, or is given up ends with the reason", function()
  local dir <close> = scratch()
  local server <close> = web.start(dir.path)
  local url = server:put("big", big)
  local session <close> = curl.session()
  server:misbehave("big", "cut=100000")
  local transfer = session:fetch { url = url, protocols = "https", ca = server.ca }
  local text, message, code = all(transfer)
  check.equal({ #text, code }, { 100000, "ECLOSED" })
  check.ok(message)
  server:misbehave("big", "stall=100000")
  transfer = session:fetch { url = url, protocols = "https", ca = server.ca, stall_timeout = 1 }
  text, message, code = all(transfer)
  check.equal({ #text, code }, { 100000, "ETIMEDOUT" }, message)
  transfer = session:fetch { url = url, protocols = "https", ca = server.ca }
  check.equal(#transfer:read() > 0, true)
  do
    local _ <close> = task.within(0.2)
    repeat
      text, message, code = transfer:read()
    until not text
    check.equal(code, "ETIMEDOUT", message)
  end
  transfer:close()
  check.raises("closed", transfer.read, transfer)
end)

test("a session that closes ends its transfers; misuse raises", function()
  local dir <close> = scratch()
  local server <close> = web.start(dir.path)
  local session = curl.session()
  local transfer = session:fetch { url = server:put("big", big), protocols = "https",
    ca = server.ca }
  session:close()
  session:close()
  local _, _, code = all(transfer)
  check.equal(code, "ECLOSED")
  check.raises("session is closed", session.fetch, session, { url = "x", protocols = "https" })
  local other <close> = curl.session()
  check.raises("url", other.fetch, other, { protocols = "https" })
end)
