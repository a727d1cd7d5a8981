-- Inventories with random damage: whatever comes in, there is a value or an
-- error with a place, and a value that is written is read back the same.
local test = ...
local check = require "lib.check"
local data = require "kb.data"
local json = require "kb.json"
local sys = require "kb.core.sys"
local yaml = require "kb.yaml"

local seed = tonumber(sys.getenv "KBRUN_SEED" or "") or os.time()
local ROUNDS = 2000

local bits = { "{", "}", "[", "]", ":", " ", "\n", "\t", "- ", "? ", "&a ", "*a", "<<: ", "!!str ",
  "!x ", "|\n", ">-\n", "'", '"', "#", "%", "\0", "\xff", "\u{e9}", "---\n", "...\n", ",", "0x",
  "\\u", "\\", "1e999", "  " }

local function damaged(text, places)
  for _ = 1, math.random(places) do
    local at = math.random(0, #text)
    local to = math.random() < 0.5 and at or math.min(#text, at + math.random(0, 20))
    text = text:sub(1, at) .. bits[math.random(#bits)] .. text:sub(to + 1)
  end
  return text
end

local function corpus()
  local texts = {}
  for _, pattern in ipairs { "tests/inventory/*.yml", "tests/inventory/*/*.y*ml",
    "tests/inventory/*/*/*.y*ml", "tests/inventory/*/*/*/*.y*ml" } do
    for _, path in ipairs(sys.glob(pattern)) do
      texts[#texts + 1] = check.ok(sys.read_file(path))
    end
  end
  return texts
end

local function round(text, version)
  local values, message = yaml.load_all(text, { version = version, max_nodes = 20000 })
  if not values then
    check.ok(message:find "^YAML:%d+:%d+: ", message)
    return 0
  end
  local out = yaml.dump_all(values)
  if #values == 0 then return 0 end
  local back = check.ok(yaml.load_all(out, { version = version }))
  if not data.equal(values, back) and not out:find(".nan", 1, true) then
    error(("not the same after writing it: %q"):format(text))
  end
  return 1
end

test("YAML with random damage", function()
  math.randomseed(seed)
  local texts, equal = corpus(), 0
  for _ = 1, ROUNDS do
    local text = damaged(texts[math.random(#texts)], 4)
    local ok, result = pcall(round, text, math.random() < 0.5 and "1.1" or "1.2")
    if not ok then error(("KBRUN_SEED=%d: %s"):format(seed, result), 0) end
    equal = equal + result
  end
  check.ok(equal > ROUNDS // 10, "hardly anything could be read")
end)

test("JSON with random damage", function()
  math.randomseed(seed)
  local text = '{"a": [1, 2.5, "x\\u00e9", null, true, {"b": {}}], "c": -1e5}'
  for _ = 1, ROUNDS do
    local broken = damaged(text, 3)
    local value, message = json.decode(broken)
    if value == nil then
      check.ok(message:find "^JSON", message)
    else
      check.ok(data.equal(json.decode(json.encode(value)), value), broken)
    end
  end
end)
