-- Ansible's filters on text: regular expressions, quoting, encodings, hashes.
local arguments = require "kb.template.arguments"
local data = require "kb.data"
local methods = require "kb.template.methods_string"
local operators = require "kb.template.operators"
local regex = require "kb.template.regex"
local signature = require "kb.template.signature"
local text = require "kb.template.text"
local values = require "kb.template.values"

local M = {}

local fail, given = values.fail, arguments.given

local function define(names, parameters, call)
  signature.define(M, names, parameters, call)
end

local function set(option)
  return option ~= nil and operators.truth(option)
end

local function compile(pattern, ignorecase, multiline)
  return regex.compile(pattern, { ignorecase = set(ignorecase), multiline = set(multiline) })
end

define("regex_replace", "pattern? replacement? ignorecase? multiline?",
  function(value, pattern, replacement, ignorecase, multiline)
    return compile(pattern or "", ignorecase, multiline)
      :replace(text.str(value), text.str(replacement or ""))
  end)

-- A group as `regex_search` names it: `\\1` or `\\g<name>`.
local function wanted_group(compiled, name)
  local group = name:match("^\\g<(%S+)>") or name:match("^\\(%d+)")
  return compiled:group_number(group or fail("Unknown argument"))
end

define("regex_search", "**", function(value, named, pattern, ...)
  named = named or {}
  value = text.str(value)
  local compiled = compile(pattern or named.regex, named.ignorecase, named.multiline)
  local from, after, marks = compiled:exec(value, 1)
  local groups = { ... }
  if not from then return data.null end
  if #groups == 0 then return value:sub(from, after - 1) end
  local found = values.list()
  for i, name in ipairs(groups) do
    local group = wanted_group(compiled, arguments.string(name, "a group"))
    found[i] = group == 0 and value:sub(from, after - 1)
      or values.or_null(compiled:group(value, marks, group))
  end
  return found
end)

define("regex_findall", "regex multiline? ignorecase?",
  function(value, pattern, multiline, ignorecase)
    value = text.str(value)
    local compiled = compile(pattern, ignorecase, multiline)
    local found = values.list()
    for from, after, marks in compiled:each(value) do
      local groups = values.tuple()
      for group = 1, compiled.groups do
        groups[group] = compiled:group(value, marks, group) or ""
      end
      if #groups == 0 then groups[1] = value:sub(from, after - 1) end
      found[#found + 1] = #groups == 1 and groups[1] or groups
    end
    return found
  end)

define("regex_escape", "re_type?", function(value, kind)
  kind = kind or "python"
  if kind == "python" then
    return (text.str(value):gsub("[][(){}?*+|^$\\.&~# \t\n\r\v\f-]", "\\%0"))
  end
  if kind == "posix_basic" then return (text.str(value):gsub("[][.^$*\\]", "\\%0")) end
  fail(("Invalid regex type (%s)"):format(text.str(kind)))
end)

define("quote", "", function(value)
  if value == data.null then return "''" end
  value = text.str(value)
  if value == "" then return "''" end
  if not value:find("[^%w_@%%+=:,./-]") then return value end
  return "'" .. value:gsub("'", "'\"'\"'") .. "'"
end)

local COMMENTS = {
  plain = { decoration = "# " }, erlang = { decoration = "% " }, c = { decoration = "// " },
  cblock = { beginning = "/*", decoration = " * ", ["end"] = " */" },
  xml = { beginning = "<!--", decoration = " - ", ["end"] = "-->" },
}

local function strip_right(string)
  return (string:gsub("%s+$", ""))
end

local function comment_style(style, named)
  local base = COMMENTS[style or "plain"]
  if not base then fail(("no style of comment named '%s'"):format(text.str(style))) end
  local around = strip_right(named.decoration or base.decoration)
  local result = {
    newline = "\n", beginning = "", prefix = around, prefix_count = 1, decoration = "",
    postfix = around, postfix_count = 1, ["end"] = "",
  }
  for key, value in pairs(base) do result[key] = value end
  for key, value in values.each_named(named) do
    if key ~= "style" then
      if result[key] == nil then fail(("'comment' has no argument '%s'"):format(key)) end
      result[key] = value
    end
  end
  return result
end

define("comment", "**", function(value, named, style)
  named = named or {}
  local p = comment_style(style or named.style, named)
  local replace = methods.replace.call
  local prefix = ""
  if p.prefix ~= "" then
    prefix = p.prefix ~= p.newline and p.prefix .. p.newline or p.newline
    prefix = prefix:rep(arguments.integer(p.prefix_count))
  end
  local body = p.decoration
    .. replace(arguments.string(value), p.newline, p.newline .. p.decoration)
  if p.decoration ~= "" then
    body = replace(body, p.decoration .. p.newline, strip_right(p.decoration) .. p.newline)
  end
  return (p.beginning ~= "" and p.beginning .. p.newline or "") .. prefix .. body
    .. (p.newline .. p.postfix):rep(p.postfix_count)
    .. (p["end"] ~= "" and p.newline .. p["end"] or "")
end)

define("b64encode", "encoding?", function(value)
  return (require("kb.core.crypto").base64_encode(text.str(value)))
end)

define("b64decode", "encoding?", function(value)
  local decoded, problem = require("kb.core.crypto").base64_decode(text.str(value))
  return decoded or fail("b64decode: " .. problem)
end)

local function digest(algorithm, value)
  local ok, hex = pcall(require("kb.core.crypto").digest, algorithm, text.str(value))
  return ok and hex or fail(("no digest named '%s'"):format(algorithm))
end

define("hash", "hashtype?", function(value, algorithm)
  return digest(arguments.string(algorithm or "sha1"), value)
end)
define("md5", "", function(value) return digest("md5", value) end)
define("sha1 checksum", "", function(value) return digest("sha1", value) end)

define("password_hash", "hashtype? salt? salt_size? rounds? ident?",
  function(value, kind, salt, salt_size, rounds, ident)
    return require("kb.template.password").hash(arguments.string(value, "a password"), {
      kind = kind or "sha512", salt = given(salt), salt_size = given(salt_size),
      rounds = given(rounds), ident = given(ident),
    })
  end)

local function hex_bytes(hex)
  return (hex:gsub("%X", ""):gsub("%x%x", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

-- UUIDs of version 5, in the name space that Ansible's own filter uses.
define("to_uuid", "namespace?", function(value, namespace)
  local space = hex_bytes(namespace or "361E6D51-FAEC-444A-9079-341386DA8E2E")
  if #space ~= 16 then fail(("Invalid value '%s' for 'namespace'"):format(namespace)) end
  local hex = digest("sha1", space .. text.str(value))
  local variant = ("%x"):format(tonumber(hex:sub(17, 17), 16) & 3 | 8)
  return ("%s-%s-5%s-%s%s-%s"):format(hex:sub(1, 8), hex:sub(9, 12), hex:sub(14, 16), variant,
    hex:sub(18, 20), hex:sub(21, 32))
end)

define("split", "sep? maxsplit?", function(value, ...)
  return methods.split.call(arguments.string(value), ...)
end)

local URL_FIELDS = { "fragment", "hostname", "netloc", "password", "path", "port", "query",
  "scheme", "username" }

local function split_url(url)
  local scheme, rest = url:match("^(%a[%w+.-]*):(.*)$")
  rest = rest or url
  local before, fragment = rest:match("^([^#]*)#?(.*)$")
  local hierarchy, query = before:match("^([^?]*)%??(.*)$")
  local netloc, path = hierarchy:match("^//([^/]*)(.*)$")
  netloc = netloc or ""
  local user, host = netloc:match("^(.*)@([^@]*)$")
  host = host or netloc
  local name, port = host:match("^%[([^%]]*)%]:?(%d*)$")
  if not name then name, port = host:match("^([^:]*):?(%d*)$") end
  local username, password = (user or ""):match("^([^:]*):?(.*)$")
  local has_password = user and user:find(":", 1, true)
  return {
    scheme = scheme and scheme:lower() or "", netloc = netloc, path = path or hierarchy,
    query = query, fragment = fragment,
    hostname = name and name ~= "" and name:lower() or data.null,
    port = math.tointeger(tonumber(port)) or data.null, username = user and username or data.null,
    password = has_password and password or data.null,
  }
end

define("urlsplit", "query?", function(value, field)
  local parts = split_url(arguments.string(value))
  if field ~= nil and field ~= "" then
    if parts[field] == nil then fail(("urlsplit: unknown URL component: %s"):format(field)) end
    return parts[field]
  end
  local map = values.map()
  for _, name in ipairs(URL_FIELDS) do map[name] = parts[name] end
  return map
end)

return M
