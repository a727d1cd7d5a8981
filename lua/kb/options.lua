--- Options of a command line, parsed and explained from one table.
--
-- An option is a table: long (its name), short (one letter), help, and, when it
-- takes a value: value (the word that help shows for it), type ("string",
-- "integer", "number", "duration"), choices (a list of the allowed words), min,
-- max, default. `list = true` collects repeated values; `count = true` counts
-- how often a flag is given (0 without it); `required = true` demands it. Its value is found
-- under its long name with underscores: `dry_run`.
local suggest = require "kb.suggest"

local M = {}

--- The name under which the value of an option is found.
-- @param option table
-- @return string: "dry_run" for --dry-run
function M.key(option)
  return (option.long:gsub("%-", "_"))
end

local units = { s = 1, m = 60, h = 3600, d = 86400 }

--- Read a length of time: "90", "90s", "1m30s", "2h", "0.5s".
-- @param text string
-- @return number of seconds, or nil when it is none
function M.seconds(text)
  if tonumber(text) and text:find("^[%d.]+$") then
    return tonumber(text)
  end
  local sum, rest = 0, text
  while rest ~= "" do
    local n, unit, after = rest:match("^([%d.]+)([smhd])(.*)$")
    if not tonumber(n or "") then
      return nil
    end
    sum, rest = sum + tonumber(n) * units[unit], after
  end
  return text ~= "" and sum or nil
end

local readers = {
  string = function(text)
    return text
  end,
  integer = function(text)
    return text:find("^[+-]?%d+$") and math.tointeger(tonumber(text)) or nil, "a whole number"
  end,
  number = function(text)
    return text:find("^[+-]?[%d.]+$") and tonumber(text) or nil, "a number"
  end,
  duration = function(text)
    return M.seconds(text), "a time such as 90, 30s, 5m or 1m30s"
  end,
}

local function one_of(words, text)
  for _, word in ipairs(words) do
    if word == text then
      return true
    end
  end
  return false
end

local function range_error(option, value)
  if option.min and value < option.min then
    return ("at least %s"):format(option.min)
  elseif option.max and value > option.max then
    return ("at most %s"):format(option.max)
  end
end

-- The value of the option in this text: value, or nil and a message.
local function read_value(option, shown, text)
  local function refuse(wanted)
    return nil, ("%s wants %s, not %q"):format(shown, wanted, text)
  end
  if option.choices and not one_of(option.choices, text) then
    return refuse("one of " .. table.concat(option.choices, ", "))
  end
  local value, wanted = readers[option.type or "string"](text)
  if value == nil then
    return refuse(wanted)
  end
  local range = range_error(option, value)
  if range then
    return refuse(range)
  end
  return value
end

local function store(values, option, value)
  local key = M.key(option)
  if option.count then
    values[key] = (values[key] or 0) + 1
  elseif option.list then
    values[key] = values[key] or {}
    table.insert(values[key], value)
  else
    values[key] = value
  end
end

local function index(options)
  local by_long, by_short, names = {}, {}, {}
  for _, option in ipairs(options) do
    by_long[option.long] = option
    names[#names + 1] = "--" .. option.long
    if option.short then
      by_short[option.short] = option
    end
  end
  return by_long, by_short, names
end

local parser = {}
parser.__index = parser

-- Store the value that text is; without one, the next word is.
function parser:keep(option, shown, text)
  if not text then
    self.at = self.at + 1
    text = self.words[self.at]
    if not text then
      return nil, ("%s needs a value: %s %s"):format(shown, shown, option.value)
    end
  end
  local value, message = read_value(option, shown, text)
  if value == nil then
    return nil, message
  end
  store(self.values, option, value)
  return true
end

-- --name, --name VALUE or --name=VALUE
function parser:long(word)
  local name, text = word:match("^%-%-([^=]+)=(.*)$")
  name = name or word:sub(3)
  local shown, option = "--" .. name, self.by_long[name]
  if not option then
    return nil, ("there is no option %s%s"):format(shown, suggest.hint(shown, self.names))
  end
  if option.value then
    return self:keep(option, shown, text)
  elseif text then
    return nil, ("%s takes no value"):format(shown)
  end
  store(self.values, option, true)
  return true
end

-- -a, -abc, -o VALUE or -oVALUE
function parser:short(word)
  for i = 2, #word do
    local shown = "-" .. word:sub(i, i)
    local option = self.by_short[word:sub(i, i)]
    if not option then
      return nil, ("there is no option %s%s"):format(shown, #word > 2 and " in " .. word or "")
    end
    if option.value then
      return self:keep(option, shown, word:sub(i + 1) ~= "" and word:sub(i + 1) or nil)
    end
    store(self.values, option, true)
  end
  return true
end

function parser:run(stop_early)
  local ok, message = true, nil
  while ok and self.at < #self.words do
    self.at = self.at + 1
    local word = self.words[self.at]
    if word == "--" then
      self.args.before_dashes = #self.args
      table.move(self.words, self.at + 1, #self.words, #self.args + 1, self.args)
      break
    elseif word:find("^%-%-") then
      ok, message = self:long(word)
    elseif word:find("^%-.") then
      ok, message = self:short(word)
    else
      self.args[#self.args + 1] = word
      if stop_early then
        table.move(self.words, self.at + 1, #self.words, #self.args + 1, self.args)
        break
      end
    end
  end
  return ok, message
end

local function add_defaults(options, values)
  for _, option in ipairs(options) do
    local key = M.key(option)
    if values[key] == nil then
      if option.required then
        return nil, ("--%s is required"):format(option.long)
      end
      values[key] = option.default
      if values[key] == nil then
        values[key] = option.list and {} or option.count and 0 or nil
      end
    end
  end
  return true
end

--- Parse the words of a command line. Options may stand before and after
-- arguments; `--` ends them; a lone `-` is an argument.
-- @param options list of tables: the options there are
-- @param words list of strings
-- @param stop_early boolean: everything after the first argument is an argument
-- @return table of values by key, and the list of arguments, in which
--   before_dashes tells how many stood before `--`; or nil and a message
function M.parse(options, words, stop_early)
  local self = setmetatable({ words = words, at = 0, values = {}, args = {} }, parser)
  self.by_long, self.by_short, self.names = index(options)
  local ok, message = self:run(stop_early)
  if ok and not self.values.help then
    ok, message = add_defaults(options, self.values)
  end
  if not ok then
    return nil, message
  end
  return self.values, self.args
end

--- Find the first word that is an argument and not an option or its value.
-- Unknown options count as flags.
-- @param options list of tables
-- @param words list of strings
-- @return integer or nil: its place
function M.first_argument(options, words)
  local by_long, by_short = index(options)
  local at = 1
  while words[at] and words[at]:find("^%-.") and words[at] ~= "--" do
    local option = by_long[words[at]:sub(3)] or #words[at] == 2 and by_short[words[at]:sub(2)]
    at = at + (option and option.value and 2 or 1)
  end
  return words[at] and words[at] ~= "--" and at or nil
end

--- How an option is written: "-f, --forks N".
-- @param option table
-- @return string
function M.synopsis(option)
  return (option.short and "-" .. option.short .. ", " or "    ") .. "--" .. option.long
    .. (option.value and " " .. option.value or "")
end

local function default_text(option)
  local default = option.default
  if type(default) == "table" then
    default = table.concat(default, ", ")
  end
  return default ~= nil and default ~= false and default ~= "" and tostring(default) or nil
end

--- The help of an option with its choices, its default and whether it repeats.
-- @param option table
-- @return string
function M.explanation(option)
  local notes = {}
  if option.choices then
    notes[#notes + 1] = "one of " .. table.concat(option.choices, ", ")
  end
  if option.list or option.count then
    notes[#notes + 1] = "may be repeated"
  end
  if option.required then
    notes[#notes + 1] = "required"
  end
  if default_text(option) then
    notes[#notes + 1] = "default " .. default_text(option)
  end
  return option.help .. (#notes > 0 and " (" .. table.concat(notes, "; ") .. ")" or "")
end

return M
