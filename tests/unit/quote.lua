local test = ...
local check = require "lib.check"
local program = require "lib.program"
local quote = require "kb.quote"

local all = {}
for i = 1, 255 do
  all[i] = string.char(i)
end

local texts = {
  "", "plain", "a b", "it's", "'", "''", "\\", "\\'", "$HOME", "`id`", "!!", "~", "~root", "a\nb",
  "\n", "*", "#x", "=x", "-n", "{a,b}", "ä", table.concat(all),
}

test("every text arrives as it is, in every shell there is", function()
  for _, shell in ipairs { { "dash" }, { "bash" }, { "busybox", "sh" } } do
    for _, text in ipairs(texts) do
      local script = "printf '%s.' " .. quote(text)
      local argv = table.move({ "-c", script }, 1, 2, #shell + 1, { table.unpack(shell) })
      check.equal(program.run(argv, { env = { LC_ALL = "C" } }).out, text .. ".")
    end
  end
end)

test("a list is quoted word by word", function()
  check.equal(quote.list { "a b", 3, "c" }, "'a b' 3 c")
  check.equal(quote.list {}, "")
end)

test("a path is never an option", function()
  check.equal(quote.path "-rf", "./-rf")
  check.equal(quote.path "/a b", "'/a b'")
end)

test("what cannot be a word is refused", function()
  check.raises("NUL", quote.quote, "a\0b")
  check.raises("string", quote.quote, {})
  check.raises("string", quote, nil)
end)
