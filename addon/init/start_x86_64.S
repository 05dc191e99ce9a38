# The entry point: the kernel leaves argc, argv and envp on the stack (System V ABI, "Process Initialization").
    .globl _start
    .type _start, @function
_start:
    xor %ebp, %ebp
    mov %rsp, %rdi
    and $-16, %rsp
    call init_main
    hlt
    .size _start, . - _start
    .section .note.GNU-stack, "", @progbits
