--- The run in hand, for what has no host to ask: there is one in a process.
-- Field: `run`, as kb.runner has it; nil when there is none.

return {}
