--- Debian packages in a bundle: what each says of itself, and the index that makes apt find them.
local bundle = require "kb.bundle"
local program = require "kb.bundle.program"
local store = require "kb.bundle.store"

local M = {}

--- The name under which a package is known: without the epoch, as mirrors name files.
-- @param fields table: Package, Version, Architecture
-- @return string: "kubeadm_1.20.2-00_amd64.deb"
function M.file_name(fields)
  return ("%s_%s_%s.deb"):format(fields.Package, (fields.Version:gsub("^%d+:", "")),
    fields.Architecture)
end

--- What a package says of itself.
-- @param path string
-- @return table: its fields, and `text`, all of them as they are written; or nil, message, code
function M.control(path)
  local text, message, code = program.run { "dpkg-deb", "--field", path }
  if not text then
    return nil, message, code
  end
  local fields = { text = text }
  for name, value in text:gmatch("([%w-]+):[ \t]*([^\n]*)\n") do
    fields[name] = fields[name] or value
  end
  for _, name in ipairs { "Package", "Version", "Architecture" } do
    if not fields[name] then
      return nil, ("%s has no field %s"):format(path, name), "EINVAL"
    end
  end
  return fields
end

--- Put a package into a bundle.
-- @param dir string: the bundle
-- @param path string: the .deb
-- @return item, without source; or nil, message, code
function M.add(dir, path)
  local fields, message, code = M.control(path)
  if not fields then
    return nil, message, code
  end
  local blob
  blob, message, code = store.add_file(dir, path)
  if not blob then
    return nil, message, code
  end
  return { kind = "deb", name = fields.Package, version = fields.Version,
    arch = fields.Architecture, file = M.file_name(fields), size = blob.size,
    sha256 = blob.sha256 }
end

local function stanza(dir, item)
  local fields, message, code = M.control(bundle.blob(dir, item.sha256))
  if not fields then
    return nil, message, code
  end
  return ("%sFilename: ./%s\nSize: %d\nSHA256: %s\n"):format(fields.text, item.file, item.size,
    item.sha256)
end

--- Put the index of packages into a bundle: what apt reads as `deb file:/DIRECTORY ./`.
-- @param dir string: the bundle
-- @param items list: those that are not packages are passed over
-- @return item; nil when there is no package; or nil, message, code
function M.index(dir, items)
  local stanzas, packages = {}, {}
  for _, item in ipairs(items) do
    packages[#packages + 1] = item.kind == "deb" and item or nil
  end
  table.sort(packages, function(a, b)
    return a.file < b.file
  end)
  for i, item in ipairs(packages) do
    local message, code
    stanzas[i], message, code = stanza(dir, item)
    if not stanzas[i] then
      return nil, message, code
    end
  end
  if #stanzas == 0 then
    return nil
  end
  local blob, message, code = store.add_text(dir, table.concat(stanzas, "\n"))
  if not blob then
    return nil, message, code
  end
  return { kind = "file", name = "Packages", file = "Packages", source = "generated",
    size = blob.size, sha256 = blob.sha256 }
end

return M
