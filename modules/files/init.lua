--- Files, directories and links.
-- Every write goes to a temporary name in the same directory, gets its owner and mode, is synced,
-- checked by hash and renamed: a file is there whole or not at all.

local kb = require "kb"
local archive = require "modules.files.archive"
local download = require "modules.files.download"
local edit = require "modules.files.edit"
local perhaps = require "modules.files.perhaps"
local plan = require "modules.files.plan"
local tree = require "modules.files.tree"

local M = {}

--- The text of a file that is going to be edited, for plans of other modules: what cannot be read
-- whole is not taken for empty.
-- @param path string
-- @param fact function: as a plan gets it
-- @return string: "" when there is nothing
-- @raise kb.err when it is no file, or its text cannot be had
function M.text(path, fact)
  return plan.text(path, fact)
end

local attributes = plan.attributes

--- A directory.
-- Directories above it are made too, as `mkdir -p` does. Refuses to replace anything else.
-- @param path path: where it is
-- @param owner string: the user it belongs to
-- @param group string: the group it belongs to
-- @param mode mode: its permission bits
M.directory = kb.op {
  name = "files.directory",
  args = { { "path", "path", "where it is", at = 1, required = true }, table.unpack(attributes) },
  facts = function(args)
    return { { "file.stat", args.path }, { "user.self" } }
  end,
  plan = perhaps.directory,
}

--- A regular file with the given content, or of any content when none is given.
-- Replaces a link; refuses to replace a directory.
-- @param path path: where it is
-- @param content content: what is in it; absent: what there is, or nothing
-- @param owner string: the user it belongs to
-- @param group string: the group it belongs to
-- @param mode mode: its permission bits (0644 for a new one)
-- @param validate string: a command that must accept the new file, named by %s, before it is used
-- @param backup boolean: keep the old one beside it, with the time in its name
-- @param sensitive boolean: do not show the difference
M.file = kb.op {
  name = "files.file",
  args = { { "path", "path", "where it is", at = 1, required = true },
    { "content", "content", "what is in it", unknown = true },
    table.unpack(plan.written) },
  facts = plan.write_facts,
  plan = function(args, fact)
    if args.content == nil then
      return perhaps.exists(args, fact)
    end
    return perhaps.write(args, fact, { content = args.content })
  end,
}

--- A copy of a file of the operator's machine.
-- The file is found in files/ beside the playbook, or beside it, unless its path is absolute. Large
-- files are streamed, and sent only when their hash differs.
-- @param path path: where it is to be on the host
-- @param from string: the file on the operator's machine
-- @param owner string: the user it belongs to
-- @param group string: the group it belongs to
-- @param mode mode: its permission bits (0644 for a new one)
-- @param validate string: a command that must accept the new file, named by %s, before it is used
-- @param backup boolean: keep the old one beside it, with the time in its name
-- @param sensitive boolean: do not show the difference
M.copy = kb.op {
  name = "files.copy",
  args = { { "path", "path", "where it is to be", at = 1, required = true },
    { "from", "string", "the file on the operator's machine", required = true, file = "files" },
    table.unpack(plan.written) },
  facts = plan.write_facts,
  prepare = function(host, args)
    args.from = kb.find_file(host, args.from, "files")
    return args
  end,
  plan = function(args, fact)
    return perhaps.write(args, fact, { file = args.from })
  end,
}

--- A directory of the operator's machine with all that is in it.
-- The directory is found in files/ beside the playbook, or beside it, unless its path is absolute.
-- What differs is sent as one stream, compared by digests, and renamed into place file by file.
-- What only the host has stays unless `delete` is said. What is sent belongs to who writes it,
-- unless an owner or group is given: then all of it belongs to them. Links are kept as they are.
--
--     files.tree(host, { "/srv/www", from = "site", owner = "www-data", mode = "0644",
--       dir_mode = "0755", delete = true })
--
-- @param path path: where it is to be on the host
-- @param from string: the directory on the operator's machine
-- @param owner string: the user that all of it belongs to
-- @param group string: the group that all of it belongs to
-- @param mode mode: the permission bits of each file; absent: those that it has here
-- @param dir_mode mode: those of each directory and of the place itself; absent: those that each
-- has here, and the place keeps its own
-- @param delete boolean: remove what is there and not here
M.tree = kb.op {
  name = "files.tree",
  args = { { "path", "path", "where it is to be", at = 1, required = true },
    { "from", "string", "the directory on the operator's machine", required = true,
      file = "directory" },
    attributes[1], attributes[2],
    { "mode", "mode", "the permission bits of each file" },
    { "dir_mode", "mode", "the permission bits of each directory" },
    { "delete", "boolean", "remove what is there and not here", default = false } },
  facts = tree.questions,
  prepare = function(host, args)
    args.from = kb.find_file(host, args.from, "directory")
    return args
  end,
  plan = tree.plan,
}

--- A file made from a Jinja2 template.
-- The template is found in templates/ beside the playbook, or beside it. It sees the host's
-- variables, and `vars` over them; a name that is not defined is an error.
--
--     files.template(host, { "/etc/app.conf", from = "app.conf.j2", mode = "0640", group = "app",
--       vars = { port = 8080 }, validate = "app --check %s" })
--
-- @param path path: where it is to be on the host
-- @param from string: the template on the operator's machine
-- @param vars map: variables over those of the host
-- @param owner string: the user it belongs to
-- @param group string: the group it belongs to
-- @param mode mode: its permission bits (0644 for a new one)
-- @param validate string: a command that must accept the new file, named by %s, before it is used
-- @param backup boolean: keep the old one beside it, with the time in its name
-- @param sensitive boolean: do not show the difference
M.template = kb.op {
  name = "files.template",
  args = { { "path", "path", "where it is to be", at = 1, required = true },
    { "from", "string", "the template on the operator's machine", required = true,
      file = "templates" },
    { "vars", "map", "variables over those of the host" },
    table.unpack(plan.written) },
  facts = plan.write_facts,
  prepare = function(host, args)
    args.content = kb.render(host, args.from, args.vars)
    return args
  end,
  plan = function(args, fact)
    return perhaps.write(args, fact, { content = args.content })
  end,
}

--- A symbolic link that points where it should.
-- Replaces a link; refuses to replace a file or directory unless `force`.
-- @param path path: where the link lives
-- @param to string: what it points at, written as given (it need not exist)
-- @param force boolean: replace a file, too
M.link = kb.op {
  name = "files.link",
  args = { { "path", "path", "where the link lives", at = 1, required = true },
    { "to", "string", "what it points at", required = true },
    { "force", "boolean", "replace a file, too" } },
  facts = function(args)
    return { { "file.stat", args.path }, { "user.self" }, { "file.stat", plan.parent(args.path) } }
  end,
  plan = perhaps.link,
}

--- Nothing at a path.
-- @param path path: what is removed
-- @param recurse boolean: remove a directory with all that is in it; without it only an empty one
M.absent = kb.op {
  name = "files.absent",
  args = { { "path", "path", "what is removed", at = 1, required = true },
    { "recurse", "boolean", "a directory with all that is in it" } },
  facts = function(args)
    return { { "file.stat", args.path } }
  end,
  plan = perhaps.absent,
}

--- A line in a text file.
-- With `match`, the last line that matches is replaced, or the line is added when none does;
-- without it the line itself is looked for. Patterns are Lua's, in which a hyphen is written `%-`:
--
--     files.line(host, { "/etc/app.conf", line = "max-size=10", match = "^max%-size=" })
--
-- @param path path: the file
-- @param line line: the line as it should be; with state absent, lines equal to it are removed
-- @param match pattern: finds the line to replace or remove
-- @param after pattern: a new line is put after the last line that matches
-- @param state string: present or absent
-- @param create boolean: make the file when it is not there
-- @param validate string: a command that must accept the new file, named by %s
-- @param backup boolean: keep the old file beside it
M.line = kb.op {
  name = "files.line",
  args = { { "path", "path", "the file", at = 1, required = true },
    { "line", "line", "the line as it should be" },
    { "match", "pattern", "finds the line to replace or remove" },
    { "after", "pattern", "where a new line is put" },
    { "state", { "present", "absent" }, "whether the line is there", default = "present" },
    { "create", "boolean", "make the file when it is not there" },
    table.unpack(plan.written) },
  facts = plan.edit_facts,
  plan = function(args, fact)
    return perhaps.edit(args, fact, edit.line)
  end,
}

--- A block of lines in a text file, between two marking lines.
-- @param path path: the file
-- @param name string: what tells this block from others in the file
-- @param block string: the lines; empty: the block is removed
-- @param comment string: what a comment begins with
-- @param create boolean: make the file when it is not there
-- @param validate string: a command that must accept the new file, named by %s
-- @param backup boolean: keep the old file beside it
M.block = kb.op {
  name = "files.block",
  args = { { "path", "path", "the file", at = 1, required = true },
    { "name", "string", "what tells this block from others in the file", required = true },
    { "block", "string", "the lines; empty: the block is removed", required = true },
    { "comment", "string", "what a comment begins with", default = "#" },
    { "create", "boolean", "make the file when it is not there" },
    table.unpack(plan.written) },
  facts = plan.edit_facts,
  plan = function(args, fact)
    return perhaps.edit(args, fact, edit.block)
  end,
}

--- What is in a tar archive, unpacked to a directory, which is made when it is not there.
-- A stamp in the directory, `.NAME.kbrun`, says which archive was unpacked; what was changed in the
-- directory since is not noticed. An archive with names that lead out of the directory is refused.
-- What is unpacked belongs to who unpacks it.
-- @param path path: the directory
-- @param from string: the archive on the operator's machine: in files/ beside the playbook, beside
-- it, or absolute
-- @param source path: the archive, when it is on the host already
-- @param strip integer: leave out so many leading directories of each name
-- @param holds list: names that are there afterwards, relative to the directory: so that a dry run
-- knows them, and a run finds out when they are not
M.archive = kb.op {
  name = "files.archive",
  args = { { "path", "path", "the directory", at = 1, required = true },
    { "from", "string", "the archive on the operator's machine" },
    { "source", "path", "the archive, when it is on the host already" },
    { "strip", "integer", "leave out so many leading directories", default = 0 },
    { "holds", "list", "names that are there afterwards", default = {} } },
  facts = archive.questions,
  prepare = function(host, args)
    args.from = args.from and kb.find_file(host, args.from, "files")
    return args
  end,
  plan = archive.plan,
}

--- A file from the network, known by its SHA-256.
-- @param path path: where it is to be on the host
-- @param url string: where it is from
-- @param sha256 string: its digest, hexadecimal; anything else is refused
-- @param via string: host: the host fetches it (with curl, wget or apt's helper); operator: it is
-- fetched to the operator's machine, kept there, and sent, for hosts that cannot reach it
-- @param owner string: the user it belongs to
-- @param group string: the group it belongs to
-- @param mode mode: its permission bits (0644 for a new one)
M.download = kb.op {
  name = "files.download",
  args = { { "path", "path", "where it is to be", at = 1, required = true },
    { "url", "string", "where it is from", required = true },
    { "sha256", "string", "its digest", required = true },
    { "via", { "host", "operator" }, "who fetches it", default = "host" },
    table.unpack(attributes) },
  facts = plan.write_facts,
  plan = download.plan,
}

return M
