# What the ranks say to each other: a library that counts it, put before MPI, and the formulas of ARCHITECTURE.md. Not with
# sanitizers, whose runtime must be the first library.
if(NOT MPIVF_SANITIZE)
    add_library(mpivf_traffic MODULE audit/traffic.c)
    target_link_libraries(mpivf_traffic PRIVATE MPI::MPI_C)
    add_script_test(audit.traffic audit ${CMAKE_CURRENT_SOURCE_DIR}/audit/test_traffic.sh $<TARGET_FILE:mpivf_traffic> 2 4)
    add_script_test(audit.traffic_wide audit ${CMAKE_CURRENT_SOURCE_DIR}/audit/test_traffic.sh $<TARGET_FILE:mpivf_traffic> 3 8 16 32)
    set_property(TEST audit.traffic_wide PROPERTY LABELS audit long)
endif()
add_script_test(audit.predict audit ${CMAKE_CURRENT_SOURCE_DIR}/audit/test_predict.sh)
set_tests_properties(audit.predict PROPERTIES LABELS "audit;long" RUN_SERIAL ON)
