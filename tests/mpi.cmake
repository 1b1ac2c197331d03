# Multi-rank tests: one Check program for each mpi/test_NAME.c, run at np 1 to 5, all tests in one process (CK_FORK=no).
file(GLOB multis CONFIGURE_DEPENDS mpi/*.c)
foreach(source ${multis})
    get_filename_component(name ${source} NAME_WE)
    add_executable(mpi_${name} ${source})
    target_link_libraries(mpi_${name} PRIVATE mpivf_test_support)
    foreach(np 1 2 3 4 5)
        # Two ranks wait for each other half of the time.
        set(cores 1)
        if(np GREATER 2)
            set(cores 2)
        endif()
        add_test(NAME mpi.${name}.np${np}
                 COMMAND ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} ${np} --bind-to none $<TARGET_FILE:mpi_${name}>)
        set_tests_properties(mpi.${name}.np${np} PROPERTIES TIMEOUT 240 LABELS mpi PROCESSORS ${cores}
                             ENVIRONMENT "${run_environment};CK_FORK=no;OMP_NUM_THREADS=1")
    endforeach()
endforeach()
