# Readers under bytes from strangers. Every compiler: fuzz_replay runs the seeds of each target, the inputs that were faults once
# (fuzz/found/TARGET/), and some thousand mutants. With MPIVF_FUZZ (clang; jobs/fuzz.sh does it all): fuzz_TARGET for each, under libFuzzer.
set(targets npy raw h5 ids ids_h5 truth_bin truth_ivecs truth_h5 fragment fragment_items model model_items manifest manifest_sealed
    building building_sealed done checkpoint config factory faiss floats)
file(GLOB fuzz_sources CONFIGURE_DEPENDS fuzz/*.c)
list(FILTER fuzz_sources EXCLUDE REGEX "fuzz/(libfuzzer|replay)\\.c$")
add_library(mpivf_fuzz STATIC ${fuzz_sources})
target_include_directories(mpivf_fuzz PUBLIC fuzz)
target_link_libraries(mpivf_fuzz PUBLIC mpivf_test_support)

add_executable(fuzz_replay fuzz/replay.c)
target_link_libraries(fuzz_replay PRIVATE mpivf_fuzz)
foreach(target ${targets})
    add_test(NAME fuzz.${target}
             COMMAND fuzz_replay ${target} 2000 ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/found/${target})
    set_tests_properties(fuzz.${target} PROPERTIES TIMEOUT 240 LABELS fuzz ENVIRONMENT "${run_environment}")
    if(MPIVF_FUZZ)
        add_executable(fuzz_${target} fuzz/libfuzzer.c)
        target_compile_definitions(fuzz_${target} PRIVATE FUZZ_TARGET="${target}")
        target_link_options(fuzz_${target} PRIVATE -fsanitize=fuzzer)
        target_link_libraries(fuzz_${target} PRIVATE mpivf_fuzz)
    endif()
endforeach()
