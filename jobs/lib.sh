# shellcheck shell=bash
# lib.sh: what the scripts of this folder share. Sourced, never run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build/release

# cores: how many processors this process may use.
cores() {
    nproc 2>/dev/null || getconf _NPROCESSORS_ONLN
}

# failed LOG WHAT: shows the end of a log, and ends.
failed() {
    printf '%s failed. The end of %s:\n\n' "$2" "$1" >&2
    tail -n 25 "$1" >&2
    exit 1
}

# logged LOG WHAT COMMAND...: runs a command with its output in a file, or fails showing it.
logged() {
    local log=$1 what=$2
    shift 2
    "$@" >>"$log" 2>&1 || failed "$log" "$what"
}

# configure [-DNAME=VALUE...]: a release build folder. A folder that exists keeps its generator.
configure() {
    local generator=()
    if [ ! -f "$build/CMakeCache.txt" ] && command -v ninja >/dev/null; then
        generator=(-G Ninja)
    fi
    cmake -S "$root" -B "$build" "${generator[@]}" -DCMAKE_BUILD_TYPE=Release -DCMAKE_EXPORT_COMPILE_COMMANDS=ON "$@"
}

# allow_local_ranks: lets mpirun start more ranks than there are cores, and start at all when the user is root (as in a
# container).
allow_local_ranks() {
    export OMPI_MCA_rmaps_base_oversubscribe=1
    if [ "$(id -u)" -eq 0 ]; then
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    fi
}
