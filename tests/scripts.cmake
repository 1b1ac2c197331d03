# Tests that are scripts. Each gets the program as MPIVF, and a folder of its own as the current one.
set(script_timeout 600)
if(MPIVF_SANITIZE)
    set(script_timeout 1800)
endif()
function(add_script_test name label script)
    set(folder ${CMAKE_CURRENT_BINARY_DIR}/work/${name})
    add_test(NAME ${name} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/support/in_folder.sh ${folder} ${script} ${ARGN})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${script_timeout} LABELS ${label} SKIP_RETURN_CODE 77
        ENVIRONMENT "${run_environment};MPIVF=$<$<TARGET_EXISTS:mpivf>:$<TARGET_FILE:mpivf>>;MPIVF_SOURCE=${PROJECT_SOURCE_DIR};MPIVF_BUILD=${PROJECT_BINARY_DIR};MPIVF_CC=${CMAKE_C_COMPILER}")
endfunction()

foreach(label lint cli peer)
    file(GLOB scripts CONFIGURE_DEPENDS ${label}/test_*.sh)
    foreach(script ${scripts})
        get_filename_component(name ${script} NAME_WE)
        string(REPLACE "test_" "" name ${name})
        add_script_test(${label}.${name} ${label} ${script})
    endforeach()
endforeach()

# Longer forms of some, by hand: ctest -L long.
foreach(name export_faiss vectorchord)
    add_script_test(peer.${name}_long peer ${CMAKE_CURRENT_SOURCE_DIR}/peer/test_${name}.sh long)
    set_tests_properties(peer.${name}_long PROPERTIES LABELS "peer;long" TIMEOUT 7200)
endforeach()

# Programs that the scripts of peer/ drive: peer_NAME in the tests' build folder.
file(GLOB tools CONFIGURE_DEPENDS peer/*.c)
foreach(source ${tools})
    get_filename_component(name ${source} NAME_WE)
    add_executable(peer_${name} ${source})
    target_link_libraries(peer_${name} PRIVATE mpivf_static)
endforeach()
