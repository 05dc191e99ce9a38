// The entry point: the kernel leaves argc, argv and envp on the stack (AAPCS64).
    .globl _start
    .type _start, %function
_start:
    mov x29, #0
    mov x30, #0
    mov x0, sp
    bl init_main
    brk #1
    .size _start, . - _start
    .section .note.GNU-stack, "", %progbits
