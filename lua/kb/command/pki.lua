--- kbrun pki: look at certificates, check them, issue what a declaration asks for.
local columns = require "kb.columns"
local common = require "kb.command.common"
local json = require "kb.json"
local lint = require "kb.pki.lint"
local pki = require "kb.pki"
local term = require "kb.term"
local yaml = require "kb.yaml"

local DAY = 86400

local function complain(message)
  io.stderr:write("kbrun pki: ", message, "\n")
  return common.exit.failed
end

-- What the arguments name: paths, names in the store, or without any the whole store.
local function load(opts, args)
  local store, message = pki.store(opts.store)
  if not store then
    return nil, message
  end
  local paths = {}
  for i, arg in ipairs(args) do
    local item = not arg:find("%.%w+$") and store:get(arg)
    paths[i] = item and item.certificate_path or arg
  end
  return lint.load(#paths > 0 and paths or { opts.store })
end

local function uses(fields)
  local list = {}
  for _, pair in ipairs({ { "serverAuth", "server" }, { "clientAuth", "client" } }) do
    for _, purpose in ipairs(fields.extended or {}) do
      list[#list + 1] = purpose == pair[1] and pair[2] or nil
    end
  end
  local ca = fields.basic_constraints and fields.basic_constraints.ca
  return ca and "authority" or table.concat(list, "+")
end

local function row_of(entry)
  local fields = entry.fields
  return { path = entry.path, subject = lint.name(fields.subject),
    issuer = lint.name(fields.issuer), uses = uses(fields),
    key = fields.key_type or "?", ends = fields.not_after,
    days = fields.not_after and (fields.not_after - os.time()) // DAY or 0 }
end

local function style_of(days, opts)
  return days < 0 and "red" or days < opts.days and "yellow" or "green"
end

local function list(opts, args)
  local entries, message = load(opts, args)
  if not entries then
    return complain(message)
  end
  local rows = {}
  for i, entry in ipairs(entries) do
    rows[i] = row_of(entry)
  end
  if opts.json then
    io.write(json.encode(rows), "\n")
    return common.exit.done
  end
  local cells = { { "DAYS", "ENDS", "USE", "KEY", "SUBJECT", "ISSUER", "WHERE" } }
  for _, row in ipairs(rows) do
    cells[#cells + 1] = { { tostring(row.days), style_of(row.days, opts) },
      os.date("!%Y-%m-%d", row.ends), row.uses, row.key, term.clean(row.subject),
      term.clean(row.issuer), row.path }
  end
  io.write(columns.text(cells))
  return common.exit.done
end

local function names_of(fields)
  local texts = {}
  for i, name in ipairs(fields.names or {}) do
    texts[i] = name[1] .. ":" .. name[2]
  end
  return table.concat(texts, ", ")
end

local function details(entry)
  local fields = entry.fields
  local constraints = fields.basic_constraints or {}
  local function moment(seconds)
    return seconds and os.date("!%Y-%m-%d %H:%M:%S UTC", seconds) or "?"
  end
  local length = constraints.path_length
  local authority = constraints.ca and "yes" .. (length and ", path length " .. length or "")
  return {
    { "where", entry.path }, { "subject", lint.name(fields.subject) },
    { "issuer", lint.name(fields.issuer) }, { "names", names_of(fields) },
    { "authority", authority or "no" },
    { "usages", table.concat(fields.usages or {}, ", ") },
    { "extended", table.concat(fields.extended or {}, ", ") },
    { "from", moment(fields.not_before) }, { "to", moment(fields.not_after) },
    { "serial", fields.serial }, { "key", fields.key_type or "?" },
    { "key hash", "sha256:" .. (entry.certificate:hash() or "?") },
    { "signature", fields.signature[1] }, { "fingerprint", "sha256:" .. fields.fingerprint },
    { "subject key", fields.subject_key_id or "" },
    { "issuer key", fields.authority_key_id or "" },
  }
end

local function show(opts, args)
  if #args == 0 then
    return nil, "NAME is missing: which certificate to show"
  end
  local entries, message = load(opts, args)
  if not entries then
    return complain(message)
  end
  local all = {}
  for i, entry in ipairs(entries) do
    local fields = {}
    io.write(i > 1 and not opts.json and "\n" or "")
    for _, pair in ipairs(details(entry)) do
      fields[pair[1]:gsub(" ", "_")] = pair[2]
      if not opts.json and pair[2] ~= "" then
        io.write(("%-12s %s\n"):format(pair[1], term.clean(pair[2])))
      end
    end
    all[i] = fields
  end
  if opts.json then
    io.write(json.encode(all), "\n")
  end
  return common.exit.done
end

local function check(opts, args)
  local entries, message = load(opts, args)
  if not entries then
    return complain(message)
  end
  local findings = lint.check(entries, { days = opts.days })
  if opts.json then
    io.write(json.encode(findings), "\n")
  else
    for _, finding in ipairs(findings) do
      io.write(("%s: %s: %s\n"):format(finding.path, finding.rule, term.clean(finding.message)))
    end
    io.stderr:write(("%d certificates, %d findings\n"):format(#entries, #findings))
  end
  return #findings == 0 and common.exit.done or common.exit.failed
end

local function print_items(items, opts)
  local rows, changed = {}, 0
  for i, item in ipairs(items) do
    rows[i] = { name = item.name, outcome = item.outcome, changed = item.changed }
    changed = changed + (item.changed and 1 or 0)
    if not opts.json and (item.changed or not opts.quiet) then
      io.write(("%-40s %s\n"):format(item.name, item.outcome))
    end
  end
  if opts.json then
    io.write(json.encode(rows), "\n")
  else
    io.stderr:write(("%d %s, %d kept\n"):format(changed,
      opts.dry_run and "would be written" or "written", #items - changed))
  end
end

local function issue(opts, args)
  if #args ~= 1 then
    return nil, "FILE is missing: the declaration of what to issue"
  end
  local declaration, message = yaml.load_file(args[1])
  if not declaration then
    return nil, message
  end
  local store
  store, message = pki.store(opts.store, { write = not opts.dry_run })
  if not store then
    return complain(message)
  end
  local renew = {}
  for _, name in ipairs(opts.renew) do
    renew[name] = true
  end
  local items
  items, message = pki.apply(store, declaration, renew)
  if not items then
    return complain(message)
  end
  print_items(items, opts)
  return common.exit.done
end

local actions = { ls = list, show = show, check = check, issue = issue }

local function run(opts, args)
  local action = actions[args[1]]
  if not action then
    return nil, ("there is no `pki %s`; there are ls, show, check and issue"):format(args[1])
  end
  return action(opts, table.move(args, 2, #args, 1, {}))
end

return {
  name = "pki",
  summary = "look at certificates, check them, issue what a declaration asks for",
  usage = "ls|show|check [PATH...] or issue FILE",
  description = [[
ls lists certificates with the days they have left, show tells all of them, and
check judges them by RFC 5280 and what browsers and Go demand besides (exit
status 4 when something is found). A PATH is a file, a directory or a name in
the store; without one, all of the store is meant; kubeconfigs are looked into.

issue makes the store hold what a YAML file declares. Nothing is issued anew
unless the request changed or the certificate ends soon; an authority is never
replaced silently:

  authorities:
    - {name: etcd-ca, subject: etcd-ca, key: ecdsa-p256, expiry: 87600h}
  certificates:
    - {name: etcd/m0, issuer: etcd-ca, profile: peer, subject: m0,
       hosts: [m0, 10.0.0.10, localhost, 127.0.0.1]}
  key_pairs:
    - {name: sa, key: rsa-2048}
  kubeconfigs:
    - {name: admin, cluster: k8s, server: "https://10.0.0.1:6443",
       user: kubernetes-admin, issuer: ca, subject: {CN: admin, O: "system:masters"}}
  profiles:  # as in cfssl's ca-config.json
    signing: {profiles: {short: {expiry: 720h, usages: [signing, server auth]}}}
  kubeadm:   # everything that kubeadm would make
    {version: "1.30", endpoint: "10.0.0.1:6443", masters: [{name: m0, address: 10.0.0.10}]}
]],
  arguments = {
    { name = "ACTION", help = "ls, show, check or issue" },
    { name = "PATH", optional = true, list = true, help = "what to look at" },
  },
  options = common.options({
    { long = "store", value = "DIR", default = "pki", help = "where certificates and keys are" },
    { long = "days", value = "N", type = "integer", default = 30, min = 0,
      help = "a certificate that ends in fewer days is a finding" },
    { long = "renew", value = "NAME", list = true,
      help = "issue this authority anew for the same key; what it signed stays valid" },
    { long = "dry-run", help = "say what issue would do, and write nothing" },
  }, common.only(common.output, "json", "quiet", "no-color")),
  run = run,
}
