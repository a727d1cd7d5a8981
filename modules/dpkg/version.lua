--- The order of Debian's version numbers (deb-version(7)).

local M = {}

-- Where a character stands: a tilde before the end, the end before letters, letters before others.
local function rank(text, i)
  local c = text:sub(i, i)
  if c == "~" then
    return -1
  elseif c == "" or c:find("%d") then
    return 0
  end
  return c:find("%a") and c:byte() or c:byte() + 256
end

local function compare_part(a, b)
  local i, j = 1, 1
  while i <= #a or j <= #b do
    while i <= #a and not a:find("^%d", i) or j <= #b and not b:find("^%d", j) do
      local x, y = rank(a, i), rank(b, j)
      if x ~= y then
        return x - y
      end
      i, j = i + 1, j + 1
    end
    local m, n = a:match("^%d*", i), b:match("^%d*", j)
    i, j = i + #m, j + #n
    m, n = m:gsub("^0+", ""), n:gsub("^0+", "")
    if #m ~= #n then
      return #m - #n
    elseif m ~= n then
      return m < n and -1 or 1
    end
  end
  return 0
end

local function parts(version)
  local epoch, rest = version:match("^(%d+):(.*)$")
  local upstream, revision = (rest or version):match("^(.*)%-([^-]*)$")
  return epoch or "0", upstream or rest or version, revision or ""
end

--- Compare two versions.
-- @param a string
-- @param b string
-- @return number: negative when a is older than b, 0 when they are the same, positive when newer
function M.compare(a, b)
  local epoch, upstream, revision = parts(a)
  local other_epoch, other_upstream, other_revision = parts(b)
  local order = compare_part(epoch, other_epoch)
  if order == 0 then
    order = compare_part(upstream, other_upstream)
  end
  return order ~= 0 and order or compare_part(revision, other_revision)
end

return M
