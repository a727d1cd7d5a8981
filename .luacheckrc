-- No global may be made; what Lua 5.4 offers may be read.
std = "lua54"
max_line_length = 100
unused_args = false
self = false
