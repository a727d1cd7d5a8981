-- YAML in the values of kb.data. Types are those of YAML 1.2's core schema, or
-- of YAML 1.1 as Ansible reads it; maps keep their order; aliases share one
-- value, which is therefore not to be changed; and for every value it is known
-- where it was written.
local sys = require "kb.core.sys"
local data = require "kb.data"
local places = require "kb.yaml.places"
local reader = require "kb.yaml.reader"
local writer = require "kb.yaml.writer"

local M = {}

--- Read a text that holds one document.
-- Errors and warnings say file, line and column. The same key twice in a map,
-- a tag that is not known and an alias inside its own value are errors. Merge
-- keys (`<<`) work in both versions.
-- @param text string: UTF-8
-- @param options table or nil: `name` (what errors call the text: a path),
--   `version` ("1.2", or "1.1" for Ansible's files), `warn` (function, called
--   with `{ file, line, column, message, kind }` for scalars that the versions
--   read differently and for numbers like 1.10; `kind` is "boolean", "number",
--   "date" or "version"), `tags` (`{ ["!name"] = function(text, file, line) }`,
--   makers of values), `max_bytes` (64 MiB), `max_depth` (100), `max_nodes`
--   (2,000,000, an alias counting as all that it stands for)
-- @return the value, `data.null` when the text is empty; or nil, message,
--   "EINVAL"
function M.load(text, options)
  options = options or {}
  local documents, message, code = reader.read(text, options)
  if not documents then return nil, message, code end
  if #documents > 1 then
    return nil, ("%s:%d:1: a second document begins here; one was expected")
      :format(options.name or "YAML", documents[2].line), "EINVAL"
  end
  if #documents == 0 then return data.null end
  return documents[1].value
end

--- Read a text that holds any number of documents, separated by `---`.
-- @param text string
-- @param options table or nil: as for `load`
-- @return list of values; or nil, message, "EINVAL"
function M.load_all(text, options)
  local documents, message, code = reader.read(text, options or {})
  if not documents then return nil, message, code end
  local values = data.list {}
  for i, document in ipairs(documents) do values[i] = document.value end
  return values
end

--- Read a file that holds one document.
-- @param path string
-- @param options table or nil: as for `load`; `name` is the path if absent
-- @return the value; or nil, message, code
function M.load_file(path, options)
  local text, message, code = sys.read_file(path)
  if not text then return nil, message, code end
  local named = { name = path }
  for key, value in pairs(options or {}) do named[key] = value end
  return M.load(text, named)
end

--- Write a value as one document.
-- Quotes what YAML 1.1 or 1.2 would not take for the same text (yes, 0644,
-- 1e3, 22:30, dates), and writes a number that came from `load` as it was
-- written there (`version: 1.10`).
-- @param value any: maps, lists, strings, numbers, booleans, null
-- @param options table or nil: `indent` (2), `width` (fold lines at; none if
--   absent), `sort` (keys by text), `flow` (true: all as {} and [], "leaves":
--   those without collections in them), `blocks` (texts of several lines as
--   literal blocks: true), `explicit` (write `---`), `ascii`, `version` ("1.1"
--   or "1.2": quote only for that one), `other` (function: text for values of
--   another kind)
-- @return string
-- @raise when the value holds a function or another thing YAML has no form for
function M.dump(value, options)
  return writer.write({ value }, options or {})
end

--- Write values as a stream of documents.
-- @param values list
-- @param options table or nil: as for `dump`
-- @return string
function M.dump_all(values, options)
  return writer.write(values, options or {})
end

--- Where an entry of a loaded map or list is written.
-- @param collection table
-- @param key any: a map's key or a list's index; nil for the collection itself
-- @return file, line, column; nothing when that is not known
M.position = places.position

--- The text in which a number or boolean was written, where printing it would
-- give another: "1.10" for 1.1.
-- @param collection table
-- @param key any
-- @return string or nil
M.original = places.original

return M
