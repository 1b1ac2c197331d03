#!/usr/bin/env bash
# setup.sh [--tests] [--lint]: sees to it that everything is there that building mpivf needs (--tests: and its tests;
# --lint: and the checks of its sources).
# On Debian 12 what is missing is installed with apt-get, as root or through sudo. Anywhere else it is named. Says nothing
# when nothing is missing. Exit code 3: something is missing and could not be installed.
set -euo pipefail

groups=" build "
for option in "$@"; do
    case $option in
    --tests) groups+="tests " ;;
    --lint) groups+="lint " ;;
    *)
        echo "setup.sh: unknown option $option (known: --tests --lint)" >&2
        exit 2
        ;;
    esac
done

# group, how to look for it, name and least version, Debian packages. Group "peers": the tests that compare with other
# programs; without them those tests are skipped.
needs() {
    cat <<'TABLE'
build compiler cc gcc,libc6-dev
build cmake 3.25 cmake
build maker ninja|make ninja-build
build command pkg-config pkg-config
build command mpicc libopenmpi-dev
build command mpirun openmpi-bin
build library hdf5-openmpi>=1.10 libhdf5-openmpi-dev
build library zlib zlib1g-dev
build library openblas libopenblas-dev
build library libcyaml libcyaml-dev
build library yaml-0.1 libyaml-dev
build library jansson libjansson-dev
build library libxxhash libxxhash-dev
tests library check check
tests command python3 python3
peers python numpy python3-numpy
peers python h5py python3-h5py
peers python faiss python3-faiss
lint command clang-format clang-format
lint command clang-tidy clang-tidy
lint command shellcheck shellcheck
lint command c++ g++
TABLE
}

has() {
    local kind=$1 name=$2 python
    case $kind in
    command) command -v "$name" >/dev/null ;;
    compiler) echo 'int main(void) { return 0; }' | "$name" -x c -o /dev/null - 2>/dev/null ;;
    maker) command -v ninja >/dev/null || command -v make >/dev/null ;;
    library) pkg-config --exists "${name/>=/ >= }" 2>/dev/null ;;
    cmake)
        local found
        found=$(cmake --version 2>/dev/null | sed -n 's/^cmake version \([0-9.]*\).*/\1/p')
        [ -n "$found" ] && [ "$(printf '%s\n' "$name" "$found" | sort -V | head -n 1)" = "$name" ]
        ;;
    python)
        for python in python3 /usr/bin/python3; do
            "$python" -c "import $name" 2>/dev/null && return
        done
        return 1
        ;;
    esac
}

describe() {
    local kind=$1 name=$2
    case $kind in
    compiler) echo "a C compiler that can link programs ($name)" ;;
    cmake) echo "CMake $name or newer" ;;
    maker) echo "ninja or make" ;;
    library) echo "$name, as pkg-config names it" ;;
    python) echo "$name for Python 3" ;;
    *) echo "$name" ;;
    esac
}

# look: fills `missing` (lines) and `packages`.
look() {
    local group kind name debian
    missing="" packages=()
    while read -r group kind name debian; do
        [[ $group == peers && $groups == *" tests "* || $groups == *" $group "* ]] || continue
        has "$kind" "$name" && continue
        [ "$group" = peers ] && [ "$debian12" = no ] && continue
        missing+="  $(describe "$kind" "$name")  [Debian package: ${debian//,/ }]"$'\n'
        packages+=("${debian//,/ }")
    done < <(needs)
}

# install PACKAGE...: quietly, with what apt-get says if it fails; one apt-get update if the lists are empty or too old.
install() {
    local command=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120) words
    [ "$(id -u)" -eq 0 ] || command=(sudo "${command[@]}")
    words=$("${command[@]}" install --no-install-recommends "$@" 2>&1 </dev/null) && return
    words=$("${command[@]}" update 2>&1 && "${command[@]}" install --no-install-recommends "$@" 2>&1 </dev/null) && return
    printf '%s\n' "$words" >&2
    return 1
}

debian12=no
# shellcheck disable=SC1091
if (. /etc/os-release 2>/dev/null && [ "$ID" = debian ] && [ "$VERSION_ID" = 12 ]); then
    debian12=yes
fi

look
[ -n "$missing" ] || exit 0
read -ra packages <<<"${packages[*]}"
if [ "$debian12" = yes ] && { [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null; }; then
    echo "setup: installing ${packages[*]}" >&2
    if ! install "${packages[@]}"; then
        echo "setup: apt-get could not install them (its words are above)" >&2
    fi
    look
    [ -n "$missing" ] || exit 0
    read -ra packages <<<"${packages[*]}"
fi

{
    printf 'setup: mpivf cannot be built here yet. Missing:\n%s' "$missing"
    if [ "$debian12" = yes ]; then
        echo "Install it as root: apt-get install ${packages[*]}"
    else
        echo "This installs packages by itself on Debian 12 only. Install the above with this system's package manager (or load its"
        echo "modules); HDF5 must be the parallel build that belongs to the MPI in use. Libraries in unusual places: PKG_CONFIG_PATH."
    fi
} >&2
exit 3
