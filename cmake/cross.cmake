# A toolchain file for Debian's cross compilers. -DTARE_CROSS is aarch64 or x86_64, and
# CMAKE_FIND_ROOT_PATH has the libraries of that architecture (scripts/foreign-packages.ts).

list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES TARE_CROSS)
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${TARE_CROSS})
set(CMAKE_CXX_COMPILER ${TARE_CROSS}-linux-gnu-g++)
set(CMAKE_ASM_COMPILER ${TARE_CROSS}-linux-gnu-gcc)
set(CMAKE_LIBRARY_ARCHITECTURE ${TARE_CROSS}-linux-gnu)
# This machine's own headers and libraries are for another architecture.
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
