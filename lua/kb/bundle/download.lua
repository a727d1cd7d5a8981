--- Files from the network into a bundle: resumed where they were cut, from several mirrors in turn.
--
-- What has come so far is in parts/, under a name made of what is fetched, so that another run goes
-- on with it. Where the digest is not known beforehand, only a file that the server says is still
-- the same (by its ETag or its date) is gone on with.
local bundle = require "kb.bundle"
local crypto = require "kb.core.crypto"
local json = require "kb.json"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local M = {}

local PIECE = 1 << 18
local ATTEMPTS = 3 -- at one mirror, as long as something comes
local PAUSE = 0.5 -- seconds before the second one, and twice as long before the third

-- What a part belongs to is told by a small file beside it: { url, validator }.
local function note_path(part)
  return part .. ".json"
end

local function remove(part)
  sys.remove(part)
  sys.remove(note_path(part))
end

local function hash_part(part)
  local hash, size = crypto.hash("sha256"), 0
  local file <close> = io.open(part, "rb")
  for piece in function() return file and file:read(PIECE) end do
    hash:update(piece)
    size = size + #piece
    task.yield()
  end
  return hash, size
end

-- By what a server tells one version of a file from another. A weak ETag is for other purposes.
local function validator(answer)
  local etag = answer.etag
  return etag and not etag:find("^W/") and etag or answer.modified
end

-- Whether what a server sends is what the part began with.
local function same_origin(note, url, answer)
  return note and note.url == url and note.validator and note.validator == validator(answer)
end

local function take_note(state, url, answer)
  state.note = { url = url, validator = validator(answer) }
  return sys.write_file(note_path(state.part), json.encode(state.note))
end

local function read_note(part)
  local text = sys.read_file(note_path(part))
  return text and json.decode(text) or nil
end

-- One transfer into an open file: true; or nil, message, code, answer.
local function receive(transfer, file, state, spec, url)
  local first = true
  while true do
    local piece, message, code = transfer:read()
    if message then
      return nil, message, code, transfer:answer()
    elseif not piece then
      return true
    end
    if first then
      first = false
      local answer = transfer:answer()
      if state.size > 0 and not spec.sha256 and not same_origin(state.note, url, answer) then
        return nil, "it is another file now", "ECHANGED", answer
      elseif state.size == 0 then
        take_note(state, url, answer)
      end
    end
    state.hash:update(piece)
    state.size = state.size + #piece
    if spec.progress then
      spec.progress(#piece)
    end
    local ok, why = file:write(piece)
    if not ok then
      return nil, ("%s: %s"):format(state.part, why), "EIO", {}
    end
  end
end

local function open_part(spec, part)
  local hash, size = hash_part(part)
  local note = read_note(part)
  if size > 0 and not spec.sha256 and not (note and note.validator) then
    remove(part)
    hash, size = crypto.hash("sha256"), 0
  end
  return { part = part, hash = hash, size = size, note = note }
end

-- What the server does not resume is fetched from the beginning.
local function starts_again(state, answer, code)
  return state.from > 0 and (answer.status == 416 or answer.status == 200 or code == "ECHANGED")
end

-- One attempt: true; or nil, message, code, whether something came.
local function attempt(session, spec, url, state)
  local file <close>, why = io.open(state.part, "ab")
  if not file then
    return nil, why, "EIO"
  end
  file:setvbuf("no") -- what the disk does not take is said with the piece, not at the end
  state.from = state.size
  local transfer <close>, message, code = session:fetch { url = url, from = state.size,
    ca = spec.ca, protocols = spec.protocols, redirect_protocols = spec.redirect_protocols,
    stall_timeout = spec.stall_timeout, connect_timeout = spec.connect_timeout }
  if not transfer then
    return nil, message, code
  end
  local ok, answer
  ok, message, code, answer = receive(transfer, file, state, spec, url)
  if ok then
    return true
  elseif starts_again(state, answer, code) then
    remove(state.part)
    state.hash, state.size, state.note = crypto.hash("sha256"), 0, nil
    return nil, message, "EAGAIN", true
  end
  return nil, message, code, state.size > state.from
end

-- Whether another attempt at the same mirror may go better.
local function passing(code)
  return code == "ECLOSED" or code == "ETIMEDOUT" or code == "EAGAIN"
end

local function from_mirror(session, spec, url, part)
  local state, pause = open_part(spec, part), PAUSE
  local tried = 0
  while true do
    local ok, message, code, came = attempt(session, spec, url, state)
    if ok then
      return state
    end
    tried = came and code ~= "EAGAIN" and 1 or tried + 1
    if not passing(code) or tried >= ATTEMPTS then
      return nil, message, code
    end
    if code ~= "EAGAIN" then
      task.sleep(pause)
      pause = pause * 2
    end
  end
end

local function accept(dir, spec, url, state)
  local sha256 = state.hash:final()
  if spec.sha256 and sha256 ~= spec.sha256 then
    remove(state.part)
    return nil, ("it has the SHA-256 %s, but %s is pinned"):format(sha256, spec.sha256), "EBADMSG"
  end
  local ok, message = os.rename(state.part, bundle.blob(dir, sha256))
  if not ok then
    return nil, message, "EIO"
  end
  sys.remove(note_path(state.part))
  return { sha256 = sha256, size = state.size, source = url }
end

--- Where the part of a file is kept.
-- @param dir string: the bundle
-- @param spec table: as for `fetch`
-- @return string
function M.part(dir, spec)
  return ("%s/parts/%s"):format(dir, spec.sha256
    or crypto.digest("sha256", table.concat(spec.urls, "\n")))
end

--- Fetch a file into a bundle's blobs.
-- @param session session of kb.core.curl
-- @param dir string: the bundle
-- @param spec table: urls (mirrors, tried in turn), sha256 (nothing else is accepted; absent: not
--   known yet), protocols and redirect_protocols ("https"), ca, stall_timeout, connect_timeout,
--   progress (function(bytes), called for each piece)
-- @return { sha256, size, source }, source being the URL that gave it; or nil, message (what each
--   mirror said), code
function M.fetch(session, dir, spec)
  local part, said, last = M.part(dir, spec), {}, nil
  for _, url in ipairs(spec.urls) do
    local state, message, code = from_mirror(session, spec, url, part)
    local blob
    if state then
      blob, message, code = accept(dir, spec, url, state)
    end
    if blob then
      return blob
    end
    said[#said + 1] = ("%s: %s"):format(url, message)
    last = code
  end
  return nil, table.concat(said, "\n"), last
end

return M
