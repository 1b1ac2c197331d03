# How the code is compiled: standard, warnings, optimisation, sanitizers.
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo" FORCE)
endif()
option(MPIVF_WERROR "Treat compiler warnings as errors" OFF)
set(MPIVF_SANITIZE "" CACHE STRING "Sanitizers, comma separated: address,undefined or thread")

option(MPIVF_FUZZ "Build the libFuzzer harnesses of tests/fuzz (clang)" OFF)

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# The kernels need -O3: at -O2 gcc 12 keeps their register tiles as loops.
set(CMAKE_C_FLAGS_RELEASE "-O3 -DNDEBUG")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")

add_library(mpivf_flags INTERFACE)
target_compile_definitions(mpivf_flags INTERFACE _GNU_SOURCE)
# Contraction of a * b + c into one rounding would make results depend on the optimiser: kernels say fma where they mean it.
target_compile_options(mpivf_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2
    -ffp-contract=off -fno-math-errno $<$<BOOL:${MPIVF_WERROR}>:-Werror>)
if(MPIVF_FUZZ)
    target_compile_options(mpivf_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
# Places where tests can make steps fail (src/base/fault.h).
target_compile_definitions(mpivf_flags INTERFACE $<$<CONFIG:Debug>:MPIVF_FAULTS>)
if(MPIVF_SANITIZE)
    target_compile_definitions(mpivf_flags INTERFACE MPIVF_FAULTS)
    target_compile_options(mpivf_flags INTERFACE -fsanitize=${MPIVF_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(mpivf_flags INTERFACE -fsanitize=${MPIVF_SANITIZE})
    if(MPIVF_SANITIZE MATCHES "undefined")
        target_compile_options(mpivf_flags INTERFACE -fno-sanitize-recover=undefined)
    endif()
endif()
