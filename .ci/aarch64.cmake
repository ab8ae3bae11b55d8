# Cross build for 64-bit ARM. Static, so that the emulator needs no ARM system around the tests.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static)
# By name: a search would find the shared library, which cannot be linked into a static program.
set(OpenMP_gomp_LIBRARY gomp CACHE STRING "")
