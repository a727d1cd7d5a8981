-- Ansible's INI inventories: [group], [group:vars], [group:children], and hosts
-- with key=value behind them.
local names = require "kb.inventory.names"
local python = require "kb.inventory.python"
local tree = require "kb.inventory.tree"

local M = {}

-- Words of a host line as a shell would split them; # begins a comment.
local function split_words(line)
  local words, word, at = {}, nil, 1
  while at <= #line do
    local char = line:sub(at, at)
    if char == "'" or char == '"' then
      local close = at
      repeat
        close = line:find(char, close + 1, true)
        if not close then return nil, "a quote has no end" end
      until char == "'" or line:sub(close - 1, close - 1) ~= "\\"
      local inner = line:sub(at + 1, close - 1)
      word = (word or "") .. (char == '"' and inner:gsub('\\(["\\])', "%1") or inner)
      at = close
    elseif char == "\\" then
      at = at + 1
      word = (word or "") .. line:sub(at, at)
    elseif char:find "%s" then
      words[#words + 1], word = word, nil
    elseif char == "#" then
      break
    else
      word = (word or "") .. char
    end
    at = at + 1
  end
  words[#words + 1] = word
  return words
end

local reader = {}
reader.__index = reader

function reader:hosts(line, origin)
  local words, problem = split_words(line)
  if not words then tree.fail(origin, "%s", problem) end
  if not words[1] then return end
  local pattern, port = names.split_port(words[1])
  local expanded
  expanded, problem = names.expand(pattern)
  if not expanded then tree.fail(origin, "%s", problem) end
  if pattern:sub(-1) == ":" then
    tree.fail(origin, "%q ends with a colon: is this file YAML? Then name it .yml", words[1])
  end
  for _, name in ipairs(expanded) do
    local host = self.tree:add_host(name, self.group, port, origin)
    for i = 2, #words do
      local key, value = words[i]:match "^([^=]+)=(.*)$"
      if not key then
        tree.fail(origin, "key=value is wanted after the host's name, here is %q", words[i])
      end
      self.tree:define(host, key, python.value(value), origin)
    end
  end
end

function reader:vars(line, origin)
  local key, value = line:match "^(.-)%s*=%s*(.*)$"
  if not key or key == "" then
    tree.fail(origin, "key=value is wanted in [%s:vars], here is %q", self.group.name, line)
  end
  self.tree:define(self.group, key, python.value(value), origin)
end

function reader:children(line, origin)
  local name = line:match "^([^:%]%s]+)%s*$" or line:match "^([^:%]%s]+)%s*#"
  if not name then
    tree.fail(origin, "the name of a group is wanted in [%s:children], here is %q",
      self.group.name, line)
  end
  if not self.tree.groups[name] then
    self.mentioned[name] = { origin = origin, where = self.group.name .. ":children" }
  end
  self.tree:add_child(self.group, self.tree:add_group(name, origin), origin)
end

function reader:section(line, origin)
  local name, kind = line:match "^%[([^:%]%s]+):?(%a*)%]%s*$"
  if not name then name, kind = line:match "^%[([^:%]%s]+):?(%a*)%]%s*#" end
  if not name then
    tree.fail(origin, "%q is no section: [group], [group:vars] or [group:children]", line)
  end
  kind = kind == "" and "hosts" or kind
  if kind ~= "hosts" and kind ~= "vars" and kind ~= "children" then
    tree.fail(origin, "[%s:%s] is no section: there are hosts, vars and children", name, kind)
  end
  if kind ~= "vars" then
    self.mentioned[name] = nil
    self.declared[name] = true
  elseif not self.tree.groups[name] then
    self.mentioned[name] = { origin = origin, where = name .. ":vars" }
  end
  self.group, self.kind = self.tree:add_group(name, origin), kind
end

--- Add an INI inventory to a tree.
-- @param into table: of kb.inventory.tree
-- @param text string
-- @param file string
function M.read(into, text, file)
  local self = setmetatable({ tree = into, group = into.groups.ungrouped, kind = "hosts",
    mentioned = {}, declared = {} }, reader)
  local number = 0
  for line in (text .. "\n"):gmatch "(.-)\r?\n" do
    number = number + 1
    local indent, bare = line:match "^(%s*)(.-)%s*$"
    local origin = { file = file, line = number, column = #indent + 1 }
    if bare:find "^%[[^%]:]*:?%a*%]%s*#?" and not bare:find "^%[[^%]]*%][^%s#]" then
      self:section(bare, origin)
    elseif bare ~= "" and not bare:find "^[#;]" then
      self[self.kind](self, bare, origin)
    end
  end
  for name, mention in pairs(self.mentioned) do
    if not self.declared[name] then
      tree.fail(mention.origin, "the group %s of [%s] is not declared: there is no [%s]", name,
        mention.where, name)
    end
  end
end

return M
