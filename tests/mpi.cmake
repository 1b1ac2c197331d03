# Multi-rank tests: one Check program for each mpi/test_NAME.c, run at np 1 to 5, all tests in one process (CK_FORK=no).
file(GLOB multis CONFIGURE_DEPENDS mpi/*.c)
foreach(source ${multis})
    get_filename_component(name ${source} NAME_WE)
    add_executable(mpi_${name} ${source})
    target_link_libraries(mpi_${name} PRIVATE mpivf_test_support)
    foreach(np 1 2 3 4 5)
        set(cores 1)
        if(np GREATER 1)
            set(cores 2)
        endif()
        set(labels mpi)
        if(np EQUAL 4)
            list(APPEND labels long) # 3 and 5 are on both sides of it
        endif()
        add_test(NAME mpi.${name}.np${np}
                 COMMAND ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} ${np} --bind-to none $<TARGET_FILE:mpi_${name}>)
        set_tests_properties(mpi.${name}.np${np} PROPERTIES TIMEOUT 240 LABELS "${labels}" PROCESSORS ${cores}
                             ENVIRONMENT "${run_environment};CK_FORK=no;OMP_NUM_THREADS=1")
    endforeach()
endforeach()
