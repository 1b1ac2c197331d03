# What the library stands on. Debian 12 package names are in jobs/setup.sh.
find_package(MPI 3.1 REQUIRED COMPONENTS C)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(HDF5 REQUIRED IMPORTED_TARGET hdf5-openmpi>=1.10)
pkg_check_modules(OPENBLAS REQUIRED IMPORTED_TARGET openblas)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(CYAML REQUIRED IMPORTED_TARGET libcyaml)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)

# xxHash's widest kernels, chosen at run time: not in every distribution's library.
include(CheckSymbolExists)
set(CMAKE_REQUIRED_LIBRARIES PkgConfig::XXHASH)
check_symbol_exists(XXH3_64bits_update_dispatch "xxh_x86dispatch.h" MPIVF_XXHASH_DISPATCH)
unset(CMAKE_REQUIRED_LIBRARIES)
