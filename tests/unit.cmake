# Unit tests: one Check program for each unit/test_NAME.c, forked tests, no MPI. Check gives a test 4 s unless told otherwise, which a
# busy machine or a sanitizer may exceed.
file(GLOB units CONFIGURE_DEPENDS unit/*.c)
foreach(source ${units})
    get_filename_component(name ${source} NAME_WE)
    add_executable(unit_${name} ${source})
    target_link_libraries(unit_${name} PRIVATE mpivf_test_support)
    add_test(NAME unit.${name} COMMAND unit_${name})
    set_tests_properties(unit.${name} PROPERTIES TIMEOUT 240 LABELS unit ENVIRONMENT "${run_environment};CK_DEFAULT_TIMEOUT=120")
endforeach()
