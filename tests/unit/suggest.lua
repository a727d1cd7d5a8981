local test = ...
local check = require "lib.check"
local suggest = require "kb.suggest"

test("the nearest word is suggested, a far one is not", function()
  local words = { "template", "directory", "link", "absent" }
  check.equal(suggest.nearest("tempalte", words), "template")
  check.equal(suggest.nearest("directry", words), "directory")
  check.equal(suggest.nearest("xyzzy", words), nil)
  check.equal(suggest.hint("lnik", words), '; did you mean "link"?')
  check.equal(suggest.hint("kubernetes", words), "")
end)

test("where there are few words, all are told when none is near", function()
  check.equal(suggest.choice("xyzzy", { "link", "absent" }, "it has"), "; it has absent, link")
  check.equal(suggest.choice("lnik", { "link", "absent" }, "it has"), '; did you mean "link"?')
  check.equal(suggest.choice("xyzzy", {}, "it has"), "")
end)
