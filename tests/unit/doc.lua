local test = ...
local c = require "kb.doc.c"
local check = require "lib.check"
local comment = require "kb.doc.comment"
local doc = require "kb.doc"
local lua = require "kb.doc.lua"
local program = require "lib.program"
local text = require "kb.doc.text"

test("a comment: first sentence, text, tags with more lines", function()
  local block = comment.parse([[
Make a link. Replaces
a link.

    code
@param path string: where
  the link lives
@param to string
@return true
@raise when it cannot
@usage
  x()
    y()]])
  check.equal(block, {
    summary = "Make a link.",
    body = "Replaces\na link.\n\n    code",
    params = { { name = "path", text = "string: where the link lives" },
      { name = "to", text = "string" } },
    returns = { "true" },
    raises = { "when it cannot" },
    usages = { "  x()\n    y()" },
    unknown = {},
  })
end)

test("a first sentence may span lines and hold dots", function()
  check.equal(comment.parse("Read kb.data of\nversion 1.2 again.\nMore.").summary,
    "Read kb.data of version 1.2 again.")
  check.equal(comment.parse("Without an end").summary, "Without an end")
  check.equal(comment.parse("x\n@prama y z").unknown, { "prama" })
end)

local source = [[
--- Files on hosts.
-- All of them.
local M = {}

-- not a doc comment
function M.private_words() end

--- Add.
-- @param a integer
function M.add(a)
end

--- A table.
M.limits = {}

--- A directory.
M.directory = kb.op {
  name = "files.directory",
}

--- What is there.
M.stat = kb.fact {
  name = "file.stat",
}

--- Hidden.
local function hidden() end

--- Walk.
function Inventory:hosts() end
]]

test("the entries of a Lua source, with their kinds and names", function()
  local module = lua.read("modules.files", source)
  check.equal(module.summary, "Files on hosts.")
  check.equal(module.body, "All of them.")
  local got = {}
  for _, entry in ipairs(module.entries) do
    got[#got + 1] = { entry.name, entry.kind, entry.parameters }
  end
  check.equal(got, {
    { "files.add", "function", "a" },
    { "files.limits", "value" },
    { "files.directory", "operation" },
    { "file.stat", "fact" },
    { "modules.files.Inventory:hosts", "method", "" },
  })
end)

test("the entries of C: functions and methods by the tables they are in", function()
  local list = c.read([[
@file engine/lib_thing.c
/* kb.core.thing: things
** of all kinds. */
#define THING "kb.thing"
/*** Open a thing. It waits.
** @param name string: its
** name
** @return thing */
static int thing_open(lua_State *L) {
/*** Close it. */
static int close_it(lua_State *L) {
static const luaL_Reg functions[] = {{"open", thing_open}, {"odd", thing_odd}, {NULL, NULL}};
static const luaL_Reg methods[] = {{"close", close_it},
                                   {NULL, NULL}};
int luaopen_kb_thing(lua_State *L) {
  bind_class(L, THING, methods, meta);
  luaL_newlib(L, functions);
]])
  check.equal(#list, 1)
  check.equal(list[1].name, "kb.core.thing")
  check.equal(list[1].summary, "Things of all kinds.")
  local open, odd, close = table.unpack(list[1].entries)
  check.equal({ open.name, open.parameters, open.summary, open.body },
    { "kb.core.thing.open", "name", "Open a thing.", "It waits." })
  check.equal(open.params, { { name = "name", text = "string: its name" } })
  check.equal({ odd.name, odd.missing }, { "kb.core.thing.odd", true })
  check.equal({ close.name, close.kind }, { "kb.thing:close", "method" })
end)

test("names are found whole, by their end, and not by their middle", function()
  check.equal(doc.find("kb.data.map")[1].entry.name, "kb.data.map")
  check.equal(doc.find("data.map")[1].entry.name, "kb.data.map")
  check.equal(doc.find("kb.task:join")[1].entry.name, "kb.task:join")
  check.equal(doc.find("kb.data")[1].entry, nil)
  check.equal(#doc.find("ata.map"), 0)
end)

test("arguments that an operation declares are part of its manual", function()
  local entry = { name = "files.x", summary = "X.", body = "", returns = {}, raises = {},
    usages = {}, params = { { name = "path", text = "string: where" } },
    args = { { "mode", "mode", "permission bits", default = "0644" },
      { "path", "path", "where it is", at = 1, required = true },
      { "state", { "a", "b" }, "how" } } }
  check.equal(text.parameters(entry), {
    { name = "mode", text = 'mode: permission bits (default "0644")' },
    { name = "path", text = "string: where (required; its name may be left out)" },
    { name = "state", text = "one of a, b: how" },
  })
  entry.kind = "operation"
  check.equal(text.signature(entry), "files.x(host, { path, ... })")
end)

test("kbrun doc: everything, one thing, a command, and a misspelt name", function()
  local function kbrun(...)
    return program.run({ program.kbrun, "doc", ... })
  end
  check.contains(kbrun().out, "kb.data.map")
  check.contains(kbrun("data.map").out, "kb.data.map(entries)\n  Make a map")
  check.contains(kbrun("lua").out, "usage: kbrun lua")
  check.contains(kbrun("--man").out, ".TH KBRUN 1")
  local r = kbrun("kb.data.mpa")
  check.equal(r.status, 2)
  check.contains(r.err, 'did you mean "kb.data.map"?')
end)

test("the manual of a playbook is its comments and its plays", function()
  local path = os.tmpname() .. ".lua"
  local file <close> = assert(io.open(path, "w"))
  file:write([[
-- What it does. And why.
--   kbrun x.lua     like this
-- More.
local kb = require "kb"

-- The first
-- of all.
kb.play { "one", hosts = "web", become = true, tags = { "t" }, function() end }
kb.play { "two", hosts = "all", serial = 2, function() end }
]])
  file:flush()
  local found = require("kb.doc.playbook").read(path)
  local shown = program.run({ program.kbrun, "doc", path }).out
  os.remove(path)
  check.equal({ found.summary, found.body }, { "What it does.",
    "And why.\n  kbrun x.lua     like this\nMore." })
  check.equal(found.plays, {
    { name = "one", summary = "The first of all.", body = "", hosts = "web", needs = {},
      tags = { "t" }, user = "root" },
    { name = "two", summary = "", body = "", hosts = "all", needs = { "one" }, tags = {},
      serial = 2 } })
  check.contains(shown, "  kbrun x.lua     like this\n  More.\n\nPlay: one\n  The first of all.\n"
    .. "  hosts  web\n")
end)
