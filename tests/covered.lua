-- kbrun with its lines counted: kbrun lua tests/covered.lua ARGUMENT...
local coverage = require "lib.coverage"
local sys = require "kb.core.sys"

coverage.start()
local status = require("kb.cli").main({ [0] = "kbrun", ... })
coverage.save(sys.getenv("KBRUN_COVERAGE"))
return status
