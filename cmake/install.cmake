# What `cmake --install` puts where: program, libraries, public headers, and what lets others find them (pkg-config, CMake).
include(CMakePackageConfigHelpers)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/mpivf ${PROJECT_BINARY_DIR}/include/mpivf
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(TARGETS mpivf_shared EXPORT mpivfTargets)
install(TARGETS mpivf_static EXPORT mpivfStaticTargets)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/mpivf)
install(EXPORT mpivfTargets NAMESPACE mpivf:: DESTINATION ${package_folder})
install(EXPORT mpivfStaticTargets NAMESPACE mpivf:: DESTINATION ${package_folder})
configure_package_config_file(cmake/mpivfConfig.cmake.in ${PROJECT_BINARY_DIR}/mpivfConfig.cmake
                              INSTALL_DESTINATION ${package_folder})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/mpivfConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/mpivfConfig.cmake ${PROJECT_BINARY_DIR}/mpivfConfigVersion.cmake
        DESTINATION ${package_folder})

# The .pc file finds its prefix from where it lies, so that `cmake --install --prefix` may choose another one.
set(pc_folder ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pc_to_prefix /prefix/${pc_folder} /prefix)
string(REGEX REPLACE "/$" "" pc_to_prefix "${pc_to_prefix}")
list(JOIN MPI_C_LIBRARIES " " pc_mpi_libraries)
configure_file(cmake/mpivf.pc.in ${PROJECT_BINARY_DIR}/mpivf.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/mpivf.pc DESTINATION ${pc_folder})

install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/FORMAT.md ${PROJECT_SOURCE_DIR}/CHANGELOG.md
              ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The program writes its manual page and its completion itself, from the table of its options.
if(TARGET mpivf)
    set(manual ${PROJECT_BINARY_DIR}/mpivf.1)
    set(completion ${PROJECT_BINARY_DIR}/mpivf.bash)
    add_custom_command(OUTPUT ${manual} ${completion}
                       COMMAND mpivf --man > ${manual}
                       COMMAND mpivf --completion > ${completion}
                       DEPENDS mpivf VERBATIM)
    add_custom_target(mpivf_texts ALL DEPENDS ${manual} ${completion})
    install(TARGETS mpivf)
    install(FILES ${manual} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
    install(FILES ${completion} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME mpivf)
endif()
