--- The certificates of a Kubernetes cluster that kubeadm makes or joins, as a declaration.
--
-- A master's certificates are below its own name; what all masters share is not:
-- ca, front-proxy-ca, sa, etcd/ca (stacked) or etcd-ca (external etcd), apiserver-etcd-client.
local ip = require "kb.pki.ip"

local M = {}

-- From 1.29 on, kubeadm's admins are of a group of their own that a ClusterRoleBinding makes
-- administrators, so that their rights can be taken away; system:masters' cannot.
local ADMIN_GROUP_SINCE = 29
local ECDSA_SINCE = 15

local PKI = "/etc/kubernetes/pki/"
local CERTIFICATE_MODE, KEY_MODE = tonumber("644", 8), tonumber("600", 8)
local ETCD_PKI = "/etc/etcd/pki/" -- outside of kubeadm's directory, which `kubeadm reset` deletes

local function minor_of(version)
  local minor = tostring(version or ""):match("^v?1%.(%d+)")
  return minor and math.tointeger(tonumber(minor))
end

local function host_of(endpoint)
  return endpoint:match("^%[(.-)%]") or endpoint:match("^([^:]+):%d+$") or endpoint
end

-- 10.0.0.1 of "10.0.0.0/12,fd00::/108": the address of the service `kubernetes`.
local function service_addresses(subnets)
  local list = {}
  for subnet in subnets:gmatch("[^,%s]+") do
    local address, message = ip.nth(subnet, 1)
    if not address then
      return nil, "service_subnet: " .. message
    end
    list[#list + 1] = address
  end
  return list
end

local function add(list, ...)
  for _, more in ipairs({ ... }) do
    for _, item in ipairs(type(more) == "table" and more or { more }) do
      list[#list + 1] = item
    end
  end
  return list
end

local Layout = {}
Layout.__index = Layout

-- One of the operator's own, or one that is made. The key of an external etcd's stays here.
function Layout:authority(name, subject)
  local reader = name ~= "etcd-ca" and self.reader or "kubeadm"
  add(self.authorities, { { name = name, subject = subject, key = self.key, read_by = reader,
    import = self.import[name] } })
end

function Layout:leaf(name, issuer, profile, subject, hosts)
  add(self.certificates, { { name = name, issuer = issuer, profile = profile, subject = subject,
    hosts = hosts, key = self.key, read_by = self.reader } })
end

function Layout:conf(name, user, group)
  add(self.kubeconfigs, { { name = name, cluster = self.cluster, server = self.server, user = user,
    issuer = "ca", subject = { CN = user, O = group }, key = self.key, read_by = self.reader } })
end

function Layout:master(host)
  local at = "masters/" .. host.name .. "/"
  local names = { host.name, "kubernetes", "kubernetes.default", "kubernetes.default.svc",
    "kubernetes.default.svc." .. self.domain }
  self:leaf(at .. "apiserver", "ca", "server", "kube-apiserver",
    add(names, self.services, host.address, host_of(self.endpoint), self.sans, host.sans or {}))
  self:leaf(at .. "apiserver-kubelet-client", "ca", "client",
    { CN = "kube-apiserver-kubelet-client", O = self.admins })
  self:leaf(at .. "front-proxy-client", "front-proxy-ca", "client", "front-proxy-client")
  self:conf(at .. "admin", "kubernetes-admin", self.admins)
  self:conf(at .. "controller-manager", "system:kube-controller-manager")
  self:conf(at .. "scheduler", "system:kube-scheduler")
  self:conf(at .. "kubelet", "system:node:" .. host.name, "system:nodes")
  if self.etcd == "stacked" then
    self:member("etcd/ca", at .. "etcd/", host)
  end
end

-- A member speaks to others as a client with the certificate it serves: both usages.
function Layout:member(issuer, at, host)
  local hosts = add({ host.name, "localhost" }, host.address, "127.0.0.1", "::1", host.sans or {})
  self:leaf(at .. "server", issuer, "peer", host.name, hosts)
  self:leaf(at .. "peer", issuer, "peer", host.name, hosts)
  self:leaf(at .. "healthcheck-client", issuer, "client",
    { CN = "kube-etcd-healthcheck-client", O = self.etcd_group })
end

local known = { version = true, cluster = true, domain = true, service_subnet = true,
  endpoint = true, masters = true, sans = true, etcd = true, etcd_members = true, key = true,
  service_account_key = true, uploaded = true, import = true }

local function check_hosts(list, what)
  if type(list) ~= "table" or #list == 0 then
    return nil, ("%s: a list of {name, address} is needed"):format(what)
  end
  for i, host in ipairs(list) do
    if type(host.name) ~= "string" or not ip.bytes(host.address) then
      return nil, ("%s[%d]: it needs a name and an IP address"):format(what, i)
    end
  end
  return true
end

local function etcd_authority_of(options)
  return options.etcd == "external" and "etcd-ca" or "etcd/ca"
end

local function check_import(options)
  for name in pairs(options.import or {}) do
    if name ~= "ca" and name ~= "front-proxy-ca" and name ~= etcd_authority_of(options) then
      return nil, ("kubeadm: import: the authorities are ca, front-proxy-ca and %s, not %s"):format(
        etcd_authority_of(options), name)
    end
  end
  return true
end

local function check(options)
  for field in pairs(options) do
    if not known[field] then
      return nil, ("kubeadm: there is no '%s'"):format(field)
    end
  end
  if not minor_of(options.version) then
    return nil, ("kubeadm: version is needed, such as 1.30, not '%s'"):format(options.version)
  end
  if type(options.endpoint) ~= "string" then
    return nil, "kubeadm: endpoint is needed: where clients reach the API, such as 10.0.0.10:6443"
  end
  if (options.etcd or "stacked") ~= "stacked" and options.etcd ~= "external" then
    return nil, ("kubeadm: etcd is stacked or external, not '%s'"):format(options.etcd)
  end
  local ok, message = check_import(options)
  if ok then
    ok, message = check_hosts(options.masters, "kubeadm: masters")
  end
  if ok and options.etcd == "external" then
    ok, message = check_hosts(options.etcd_members, "kubeadm: etcd_members")
  end
  return ok, message
end

-- Before 1.15 kubeadm reads RSA alone. Of what was uploaded to the cluster it reads ECDSA keys in
-- SEC 1's form, and ours are PKCS#8.
local function key_types(options, minor)
  local default = (minor < ECDSA_SINCE or options.uploaded) and "rsa-2048" or "ecdsa-p256"
  local key, sa = options.key or default, options.service_account_key or "rsa-2048"
  for _, type_name in ipairs({ key, sa }) do
    if minor < ECDSA_SINCE and not type_name:find("^rsa") then
      return nil, ("kubeadm: kubeadm 1.%d reads RSA keys alone (\"isn't in RSA format\"), not %s")
        :format(minor, type_name)
    end
  end
  return key, sa
end

local function layout_of(options)
  local minor = minor_of(options.version)
  local key, sa = key_types(options, minor)
  if not key then
    return nil, sa
  end
  local services, message = service_addresses(options.service_subnet or "10.96.0.0/12")
  if not services then
    return nil, "kubeadm: " .. message
  end
  local endpoint = options.endpoint
  local new_groups = minor >= ADMIN_GROUP_SINCE
  local reader = (minor < ECDSA_SINCE or options.uploaded) and "kubeadm-rsa" or "kubeadm"
  return setmetatable({
    authorities = {}, certificates = {}, kubeconfigs = {},
    key_pairs = { { name = "sa", key = sa, read_by = reader } },
    key = key, reader = reader, import = options.import or {}, services = services,
    etcd = options.etcd or "stacked",
    cluster = options.cluster or "kubernetes", domain = options.domain or "cluster.local",
    endpoint = endpoint, sans = options.sans or {}, new_groups = new_groups,
    server = "https://" .. (endpoint:find(":%d+$") and endpoint or endpoint .. ":6443"),
    admins = new_groups and "kubeadm:cluster-admins" or "system:masters",
    etcd_group = not new_groups and "system:masters" or nil,
  }, Layout)
end

--- Declare all that kubeadm would make, and external etcd's certificates.
-- @param options table: version ("1.30"), endpoint ("10.0.0.10:6443"), masters (list of {name,
--   address, sans}), etcd ("stacked", the default, or "external"), etcd_members (list of {name,
--   address, sans}, for external), service_subnet ("10.96.0.0/12"; two with a comma between),
--   domain ("cluster.local"), cluster ("kubernetes"), sans (more names of the API), key
--   ("ecdsa-p256"; "rsa-2048" before 1.15 and for uploaded), service_account_key ("rsa-2048"),
--   uploaded (boolean: masters fetch what they share from the cluster), import (authorities that
--   are not to be made: name -> what Store:ca imports)
-- @return table for kb.pki's apply: authorities, certificates, key_pairs, kubeconfigs; or nil,
--   message, "EINVAL"
function M.declare(options)
  local ok, message = check(options)
  local layout
  if ok then
    layout, message = layout_of(options)
  end
  if not layout then
    return nil, message, "EINVAL"
  end
  local etcd_ca = etcd_authority_of(options)
  layout:authority("ca", "kubernetes")
  layout:authority("front-proxy-ca", "front-proxy-ca")
  layout:authority(etcd_ca, "etcd-ca")
  layout:leaf("apiserver-etcd-client", etcd_ca, "client",
    { CN = "kube-apiserver-etcd-client", O = layout.etcd_group })
  for _, host in ipairs(options.masters) do
    layout:master(host)
  end
  for _, host in ipairs(layout.etcd == "external" and options.etcd_members or {}) do
    layout:member(etcd_ca, "members/" .. host.name .. "/", host)
  end
  if layout.new_groups then
    layout:conf("super-admin", "kubernetes-super-admin", "system:masters")
  end
  return { authorities = layout.authorities, certificates = layout.certificates,
    key_pairs = layout.key_pairs, kubeconfigs = layout.kubeconfigs }
end

local function both(list, name, to)
  add(list, { { name = name, suffix = ".crt", to = to .. ".crt", mode = CERTIFICATE_MODE },
    { name = name, suffix = ".key", to = to .. ".key", mode = KEY_MODE } })
end

-- Its key stays where the certificates are made.
local function etcd_authority()
  return { name = "etcd-ca", suffix = ".crt", to = ETCD_PKI .. "ca.crt", mode = CERTIFICATE_MODE }
end

--- What a master needs before `kubeadm init` or `join`, so that all masters share their
-- authorities: nothing else is to travel, and never the key of an external etcd's authority.
-- @param options table: as for declare
-- @return list of {name, suffix (of the store's file), to (path on the master), mode}
function M.shared_files(options)
  local list = {}
  both(list, "ca", PKI .. "ca")
  both(list, "front-proxy-ca", PKI .. "front-proxy-ca")
  add(list, { { name = "sa", suffix = ".key", to = PKI .. "sa.key", mode = KEY_MODE },
    { name = "sa", suffix = ".pub", to = PKI .. "sa.pub", mode = CERTIFICATE_MODE } })
  if options.etcd == "external" then
    add(list, { etcd_authority() })
    both(list, "apiserver-etcd-client", ETCD_PKI .. "apiserver-etcd-client")
  else
    both(list, "etcd/ca", PKI .. "etcd/ca")
  end
  return list
end

--- What a master needs when kubeadm is to have no authority's key ("external CA mode"): all
-- certificates and kubeconfigs that kubeadm would have made.
-- @param options table: as for declare
-- @param name string: the master's
-- @return list as of shared_files
function M.master_files(options, name)
  local list, at = {}, "masters/" .. name .. "/"
  for _, file in ipairs(M.shared_files(options)) do
    local authority = file.name:find("ca$") and file.suffix == ".key"
    if not authority then
      list[#list + 1] = file
    end
  end
  for _, leaf in ipairs({ "apiserver", "apiserver-kubelet-client", "front-proxy-client" }) do
    both(list, at .. leaf, PKI .. leaf)
  end
  if options.etcd ~= "external" then
    for _, leaf in ipairs({ "server", "peer", "healthcheck-client" }) do
      both(list, at .. "etcd/" .. leaf, PKI .. "etcd/" .. leaf)
    end
    both(list, "apiserver-etcd-client", PKI .. "apiserver-etcd-client")
  end
  for _, conf in ipairs({ "admin", "controller-manager", "scheduler", "kubelet" }) do
    add(list, { { name = at .. conf, suffix = ".conf", to = "/etc/kubernetes/" .. conf .. ".conf",
      mode = KEY_MODE } })
  end
  return list
end

--- What a member of an external etcd needs.
-- @param name string: the member's
-- @return list as of shared_files
function M.member_files(name)
  local list = { etcd_authority() }
  for _, leaf in ipairs({ "server", "peer", "healthcheck-client" }) do
    both(list, "members/" .. name .. "/" .. leaf, ETCD_PKI .. leaf)
  end
  return list
end

return M
