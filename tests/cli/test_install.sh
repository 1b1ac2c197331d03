#!/usr/bin/env bash
# An installed mpivf serves others: a C program finds it through pkg-config and through CMake, shared and static, from a
# prefix that the build did not know.
set -euo pipefail
if grep -q '^MPIVF_SANITIZE:STRING=.' "$MPIVF_BUILD/CMakeCache.txt"; then
    echo "sanitizers are not for other people's programs"
    exit 77
fi
prefix=$PWD/prefix
cmake --install "$MPIVF_BUILD" --prefix "$prefix" >install.log
libraries=$(dirname "$(find "$prefix" -name libmpivf.a)")
PKG_CONFIG_PATH=$libraries/pkgconfig
export PKG_CONFIG_PATH

cat >user.c <<'C'
#include <mpivf/error.h>
#include <mpivf/version.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    printf("%s %s\n", mpivf_version(), mpivf_code_name(MPIVF_OK));
    return strcmp(mpivf_version(), MPIVF_VERSION);
}
C
cat >CMakeLists.txt <<'C'
cmake_minimum_required(VERSION 3.25)
project(user LANGUAGES C)
find_package(mpivf 0.1 REQUIRED COMPONENTS static)
add_executable(user_shared user.c)
target_link_libraries(user_shared mpivf::mpivf)
add_executable(user_static user.c)
target_link_libraries(user_static mpivf::mpivf_static)
C

expect() { # expect COMMAND...: the program's line
    local line
    line=$("$@")
    [ "$line" = "$(pkg-config --modversion mpivf) done" ] || { echo "$*: $line"; exit 1; }
}
words() { # words TEXT: its words as an array, in `flags`
    read -ra flags <<<"$1"
}

words "$(pkg-config --cflags --libs mpivf)"
"$MPIVF_CC" -std=c11 -pedantic -Wall -Werror user.c -o by_pkg_config "${flags[@]}"
expect env LD_LIBRARY_PATH="$libraries" ./by_pkg_config

# Every object of the archive: what the .pc file does not name fails here.
words "$(pkg-config --static --cflags --libs mpivf | sed 's/-lmpivf / /')"
"$MPIVF_CC" user.c -Wl,--whole-archive "$libraries/libmpivf.a" -Wl,--no-whole-archive -o by_pkg_config_static "${flags[@]}"
expect ./by_pkg_config_static

generator=$(sed -n 's/^CMAKE_GENERATOR:INTERNAL=//p' "$MPIVF_BUILD/CMakeCache.txt")
cmake -B build -G "$generator" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$MPIVF_CC" >cmake.log
cmake --build build >>cmake.log
expect build/user_shared
expect build/user_static
if readelf -d build/user_static | grep -q libmpivf; then
    echo "the static program loads libmpivf.so"
    exit 1
fi

# The shared library shows what the headers declare, and nothing else.
shown=$(nm -D --defined-only "$libraries/libmpivf.so" | awk '{print $3}' | sed 's/@.*//' | sort)
declared=$(cat "$prefix"/include/mpivf/*.h | grep MPIVF_API | grep -oE 'mpivf_[a-z0-9_]+\(' | tr -d '(' | sort)
[ "$shown" = "$declared" ] || { diff <(echo "$declared") <(echo "$shown") || true; exit 1; }
if grep -rnE "$MPIVF_SOURCE|$MPIVF_BUILD" "$prefix" --include='*.cmake' --include='*.pc'; then
    echo "the installed files name the build folder"
    exit 1
fi

if [ -n "$MPIVF" ]; then
    "$prefix/bin/mpivf" --version | grep -qF "$(pkg-config --modversion mpivf)"
    grep -q '^\.SH NAME' "$prefix/share/man/man1/mpivf.1"
    bash -n "$prefix/share/bash-completion/completions/mpivf"
fi
