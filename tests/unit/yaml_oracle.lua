-- PyYAML (Debian's python3-yaml) is asked what it reads in every scalar of a
-- grid of prefixes and endings, and kbrun's 1.1 mode must read the same.
local test = ...
local check = require "lib.check"
local proc = require "kb.core.proc"
local task = require "kb.core.task"
local data = require "kb.data"
local json = require "kb.json"
local yaml = require "kb.yaml"

-- Text for text: JSON has no infinity, and dates are text in kbrun.
local script = [[
import sys, json, yaml, datetime
class Loader(yaml.SafeLoader): pass
def name(v):
    if v is None: return "null"
    if isinstance(v, bool): return "boolean " + str(v).lower()
    if isinstance(v, int): return "integer %d" % v
    if isinstance(v, float): return "float %.15g" % v
    return "text"
def read(t):
    try: return name(yaml.load(t, Loader))
    except (ValueError, yaml.YAMLError): return "refused"
print(json.dumps([read(t) for t in json.load(sys.stdin)]))
]]

local function ask(input)
  local p, io = check.ok(proc.spawn { argv = { "/usr/bin/python3", "-c", script } })
  task.spawn(function()
    check.ok(io.stdin:write(input))
    io.stdin:close()
  end)
  local parts = {}
  for chunk in function() return (io.stdout:read()) end do parts[#parts + 1] = chunk end
  local complaint = io.stderr:read()
  io.stdout:close()
  io.stderr:close()
  check.equal({ p:wait(), complaint }, { 0 })
  return table.concat(parts)
end

local function name(text)
  local value = yaml.load(text, { version = "1.1" })
  if value == nil then return "refused" end
  if math.type(value) == "integer" then return ("integer %d"):format(value) end
  if math.type(value) == "float" then
    return "float " .. (value ~= value and "nan" or ("%.15g"):format(value))
  end
  if type(value) == "boolean" then return "boolean " .. tostring(value) end
  return value == data.null and "null" or "text"
end

local words = { "~", "null", "Null", "NULL", "nULL", "yes", "Yes", "YES", "yES", "no", "No", "NO",
  "true", "True", "TRUE", "false", "False", "FALSE", "on", "On", "ON", "off", "Off", "OFF", "y",
  "n", "Y", "N", ".inf", "-.Inf", "+.INF", ".nan", ".NaN", ".NAN", "-.nan", "inf", "nan", ".",
  "-", "+", "1e3", "1.e3", "1.0e3", "1.0e+3", "1.0E-3", "1e+3", ".5e+1", "-.5", "+.5", "1__0",
  "0_7", "_1", "0b_1", "0x_f", "0o7", "0b2", "0x", "0b", "0", "00", "000", "09", "-0", "+0", "0.",
  "0._1", "00.5", "1:60", "1:6", "1:06", "01:30", "0:30", "1:30:59", "1:30:60", "190:20:30",
  "-190:20:30.15", "1:2.5", "12:30:45.5", "1_0:30", "9223372036854775807", "1.2.3", "1-2",
  "10.0.0.1", "1,000" }

local function grid()
  local texts = { table.unpack(words) }
  for _, sign in ipairs { "", "-", "+" } do
    for _, front in ipairs { "", "0", "1", "12", "0b1", "0x1", "07", "08", "1_2",
      "." } do
      for _, back in ipairs { "", ".", ".5", "_", "_0", "e3", ".5e+3", "e-3", ":30", ":5", ":30.5",
        "f", "0", "9" } do
        texts[#texts + 1] = sign .. front .. back
      end
    end
  end
  return texts
end

test("1.1 scalars are read as PyYAML reads them", function()
  local texts = {}
  for _, text in ipairs(grid()) do
    if text ~= "" then texts[#texts + 1] = text end
  end
  local wanted = json.decode(ask(json.encode(texts)))
  check.equal(#wanted, #texts)
  local differ = {}
  for i, text in ipairs(texts) do
    local got = name(text)
    if got ~= wanted[i] then
      differ[#differ + 1] = ("%s: %s, PyYAML: %s"):format(text, got, wanted[i])
    end
  end
  check.equal(table.concat(differ, "\n"), "")
end)
