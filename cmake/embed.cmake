# Write OUT, an assembler file that makes every .lua file of ROOT/lua and
# ROOT/modules part of the binary as the table kb_embedded (engine/libs.h), and
# the doc comments of the C files under the name engine/comments.
file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/lua/*.lua ${ROOT}/modules/*.lua)
list(SORT files)
set(text ".section .rodata\n")
set(table ".section .data.rel.ro,\"aw\"\n.balign 8\n.globl kb_embedded\nkb_embedded:\n")
set(n 0)
foreach(file IN LISTS files)
  if(file MATCHES "cases\\.lua$")
    continue()  # test data
  endif()
  string(REGEX REPLACE "^lua/" "" name ${file})
  string(REGEX REPLACE "(/init)?\\.lua$" "" name ${name})
  string(REPLACE "/" "." name ${name})
  string(APPEND text "name${n}: .asciz \"${name}\"\ntext${n}: .incbin \"${ROOT}/${file}\"\nend${n}: .byte 0\n")
  string(APPEND table ".quad name${n}, text${n}, end${n} - text${n}\n")
  math(EXPR n "${n} + 1")
endforeach()
file(GLOB sources RELATIVE ${ROOT} ${ROOT}/engine/*.c)
list(SORT sources)
execute_process(COMMAND awk -f ${CMAKE_CURRENT_LIST_DIR}/comments.awk ${sources}
  WORKING_DIRECTORY ${ROOT} OUTPUT_FILE ${OUT}.comments COMMAND_ERROR_IS_FATAL ANY)
string(APPEND text "nameC: .asciz \"engine/comments\"\ntextC: .incbin \"${OUT}.comments\"\nendC: .byte 0\n")
string(APPEND table ".quad nameC, textC, endC - textC\n")
string(APPEND table ".quad 0, 0, 0\n.section .note.GNU-stack,\"\",%progbits\n")
file(WRITE ${OUT} "${text}${table}")
