-- libyaml's events made into values: types, anchors, merge keys, limits.
-- Failures are raised inside as tables and returned by `read` as nil, message.
local core = require "kb.core.yaml"
local data = require "kb.data"
local schema = require "kb.yaml.schema"
local places = require "kb.yaml.places"
local tags = require "kb.yaml.tags"

local M = {}

local LIMITS = {
  max_bytes = 64 << 20,
  max_depth = 100,
  max_nodes = 2000000, -- counting each alias as all that it stands for
}

local reader = {}
reader.__index = reader

--- Give up: the place and what is wrong with it.
-- @param event table: the event it is about
function reader:fail(event, format, ...)
  error({ yaml = ("%s:%d:%d: %s"):format(self.name, event.line, event.column,
    select("#", ...) > 0 and format:format(...) or format) }, 0)
end

-- What libyaml says is about its grammar; most people know one of these slips.
local function hint(problem, line_text)
  if line_text:find "[:-]%s+{[{%%]" then
    return "; a value that starts with a template, {{ ... }}, must be quoted"
  elseif problem:find "cannot start any token" and line_text:find "\t"
    or line_text:find "^%s*\t" then
    return "; YAML is indented with spaces, here is a tab"
  elseif problem:find "mapping values are not allowed" then
    return "; a text with ': ' in it must be quoted, or the indentation is wrong"
  elseif problem:find "cannot start any token" then
    return "; a text that starts with @, ` or % must be quoted"
  end
  return ""
end

local function line_of(text, number)
  local n = 0
  for line in text:gmatch "([^\n]*)\n?" do
    n = n + 1
    if n == number then return line end
  end
  return ""
end

-- A bad template on one line is often noticed only on the next.
local function syntax_hint(text, problem, line)
  local found = hint(problem, line_of(text, line))
  if found == "" or found:find "': ' in it" then
    local before = line > 1 and hint("", line_of(text, line - 1)) or ""
    if before:find "template" then return before end
  end
  return found
end

--- The next event as a table; it is the reader's own and is reused.
function reader:next()
  local kind, line, column, value, style, tag, anchor = self.parser:next()
  if not kind then -- nil, message, code, line, column
    local problem, at, place = line, value, style
    error({ yaml = ("%s:%d:%d: %s%s"):format(self.name, at, place, problem,
      syntax_hint(self.text, problem, at)) }, 0)
  end
  return { kind = kind, line = line, column = column, value = value, style = style, tag = tag,
    anchor = anchor }
end

function reader:warn(event, message, kind)
  if self.on_warning then
    self.on_warning { file = self.name, line = event.line, column = event.column,
      message = message, kind = kind }
  end
end

-- Count nodes, so that a few aliases of aliases cannot stand for billions.
function reader:count(event, n)
  self.nodes = self.nodes + n
  if self.nodes > self.limits.max_nodes then
    self:fail(event, "more than %d values (aliases counted as what they stand for)",
      self.limits.max_nodes)
  end
end

function reader:scalar(event)
  if event.tag then return tags.scalar(self, event) end
  if event.style ~= "plain" then return event.value end
  local value, problem = schema.resolve(event.value, self.version)
  if value == nil then self:fail(event, problem) end
  if self.on_warning then
    local message, kind = schema.warning(event.value, self.version)
    if message then self:warn(event, message, kind) end
  end
  return value
end

-- The text is kept where printing the value would give another, and where no
-- reader could take the text for something else.
local function note(collection, key, place, event, value)
  places.note(collection, key, place.line, place.column)
  local kind = type(value)
  if event.style == "plain" and (kind == "number" or kind == "boolean")
    and event.value ~= tostring(value) then
    places.write_down(collection, key, value, event.value)
  end
end

function reader:sequence(event)
  local list = data.list {}
  places.begin(list, self.name, event.line, event.column)
  while true do
    local item = self:next()
    if item.kind == "close" then return tags.sequence(self, event, list) end
    local value = self:node(item)
    list[#list + 1] = value
    note(list, #list, item, item, value)
  end
end

local function is_key(value)
  local kind = type(value)
  return kind == "string" or kind == "boolean" or value == data.null
    or kind == "number" and value == value
end

function reader:key(event)
  if event.kind == "sequence" or event.kind == "mapping" then
    self:fail(event, "a key must be a text, a number or a boolean; is this a template, {{ ... }}, "
      .. "that should be quoted?")
  end
  local key = self:node(event)
  if not is_key(key) then self:fail(event, "this cannot be a key") end
  return key
end

-- The maps of a merge key: one, or a list of which the first wins.
function reader:merged(event, value)
  local kind = data.kind(value)
  if kind == "map" then return { value } end
  if kind == "list" then
    for _, item in ipairs(value) do
      if data.kind(item) ~= "map" then
        self:fail(event, "<< takes maps, and this list has another value")
      end
    end
    return value
  end
  self:fail(event, "<< takes a map or a list of maps, mostly as aliases: <<: *name")
end

local function merge(map, sources)
  for _, source in ipairs(sources) do
    for key, value in data.pairs(source) do
      if map[key] == nil then
        map[key] = value
        places.inherit(map, key, source)
      end
    end
  end
end

-- The entries of a mapping in order, and what it merges in. A merge key is one
-- only when it is plain.
function reader:entries()
  local entries, seen, sources = {}, {}, nil
  while true do
    local event = self:next()
    if event.kind == "close" then return entries, sources end
    local is_merge = event.kind == "scalar" and event.style == "plain" and event.value == "<<"
      and not event.tag
    local key = is_merge and entries or self:key(event)
    if seen[key] then
      self:fail(event, "the key %s is here twice; the first is on line %d",
        is_merge and "<<" or tostring(key), seen[key])
    end
    seen[key] = event.line
    local value_event = self:next()
    local value = self:node(value_event)
    if is_merge then
      sources = self:merged(value_event, value)
    else
      entries[#entries + 1] = { key, value, event, value_event }
    end
  end
end

function reader:mapping(event)
  local map = data.map()
  places.begin(map, self.name, event.line, event.column)
  local entries, sources = self:entries()
  if sources then
    merge(map, sources)
    self:count(event, data.length(map))
  end
  for _, entry in ipairs(entries) do
    local key, value = entry[1], entry[2]
    map[key] = value
    note(map, key, entry[3], entry[4], value)
  end
  return tags.mapping(self, event, map)
end

function reader:alias(event)
  local anchor = self.anchors[event.value]
  if not anchor then
    self:fail(event, "the alias *%s has no anchor &%s before it", event.value, event.value)
  elseif anchor.open then
    self:fail(event, "the alias *%s is inside the value it stands for", event.value)
  end
  self:count(event, anchor.nodes)
  return anchor.value
end

--- Read the node that begins with the event.
-- @return the value
function reader:node(event)
  if event.kind == "alias" then return self:alias(event) end
  self:count(event, 1)
  local anchor = event.anchor and { open = true }
  if anchor then self.anchors[event.anchor] = anchor end
  local before = self.nodes
  self.depth = self.depth + 1
  if self.depth > self.limits.max_depth then
    self:fail(event, "nested deeper than %d", self.limits.max_depth)
  end
  local value = self[event.kind](self, event)
  self.depth = self.depth - 1
  if anchor then
    anchor.open, anchor.value, anchor.nodes = nil, value, self.nodes - before + 1
  end
  return value
end

function reader:documents()
  local documents = {}
  self:next() -- the stream
  while true do
    local event = self:next()
    if event.kind == "end" then return documents end
    self.anchors = {}
    documents[#documents + 1] = { value = self:node(self:next()), line = event.line }
    self:next() -- the document's end
  end
end

--- Read every document of a text.
-- @param text string
-- @param options table: see kb.yaml.load
-- @return list of `{ value =, line = }`; or nil, message, "EINVAL"
function M.read(text, options)
  local self = setmetatable({
    name = options.name or "YAML", text = text, version = options.version or "1.2",
    on_warning = options.warn, tags = options.tags or {}, depth = 0, nodes = 0, limits = {},
  }, reader)
  assert(self.version == "1.2" or self.version == "1.1", "version must be \"1.2\" or \"1.1\"")
  for name, limit in pairs(LIMITS) do self.limits[name] = options[name] or limit end
  if #text > self.limits.max_bytes then
    return nil, ("%s: larger than %d bytes"):format(self.name, self.limits.max_bytes), "EINVAL"
  end
  self.parser = core.parse(text)
  local ok, result = pcall(self.documents, self)
  self.parser:close()
  if ok then return result end
  if type(result) == "table" and result.yaml then return nil, result.yaml, "EINVAL" end
  error(result, 0)
end

return M
