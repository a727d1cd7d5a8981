local function servers(state)
  return { "haproxy.servers", "masters", { m0 = "UP", m1 = state } }
end

return {
  { "haproxy.server", "drains it", given = { servers "UP" }, args = { "m1", state = "drain" },
    title = "set masters/m1 to drain", effect = { servers "DRAIN" } },
  { "haproxy.server", "is drained", given = { servers "DRAIN" }, args = { "m1", state = "drain" },
    same = "m1 is DRAIN" },
  { "haproxy.server", "is ready, though down", given = { servers "DOWN" }, args = { "m1" },
    same = "m1 is DOWN" },
  { "haproxy.server", "there is none", given = { servers "UP" }, args = { "m7" },
    refuses = "has no server m7" },
  { "haproxy.server", "HAProxy is away", given = { { "haproxy.servers", "masters", false } },
    args = { "m1" }, refuses = "does not answer" },
}
