# From C files, what `kbrun doc` needs: the first comment, the doc comments with
# the function that follows each, and what says which Lua table a function is in.
FNR == 1 { print "@file", FILENAME; top = /^\/\*/ }
/^\/\*\*\*/ { doc = 1 }
/^(static )?const luaL_Reg / { table = 1 }
doc || top || table || /^#define [A-Z]+ +"kb\./ { print }
after { print; after = 0 }
/^(static )?int luaopen_[a-z_]+\(lua_State \*L\) \{/ { print; opening = 1 }
opening && /luaL_newlib|luaL_setfuncs|bind_class/ { print }
/bind_class\(/ && !opening { print }
/\*\// { if (doc) after = 1; doc = 0; top = 0 }
/;$/ { table = 0 }
/^}/ { opening = 0 }
