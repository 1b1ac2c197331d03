# shellcheck shell=bash
# Helpers for scripts that run the program: source it; then `expect 2 "$MPIVF" ...` and look at what came out.
set -euo pipefail
: "${MPIVF:?the program}" "${MPIVF_SOURCE:?the source tree}"
# MPIVF_TEST_VECTORS: a folder with more of them (base.u8bin, query.u8bin), for long forms run by hand.
# shellcheck disable=SC2034 # for the scripts
photosift=${MPIVF_TEST_VECTORS:-$MPIVF_SOURCE/tests/data/photosift-10k}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}

fail() {
    echo "FAILED: $*" >&2
    for stream in out err; do
        if [ -e "$stream" ]; then sed "s/^/$stream: /" "$stream" >&2; fi
    done
    exit 1
}

# expect CODE COMMAND...: runs it, its output into ./out and ./err; fails unless it ends with that code.
expect() {
    local wanted=$1 code=0
    shift
    "$@" >out 2>err </dev/null || code=$?
    [ "$code" -eq "$wanted" ] || fail "code $code instead of $wanted: $*"
}

# ranks N COMMAND...: under mpirun; a hang becomes code 124.
ranks() {
    local n=$1
    shift
    timeout -k 5 60 mpirun -n "$n" --bind-to none "$@"
}

# complains TEXT: the program said one line of error, exactly this.
complains() {
    [ "$(grep -c '^mpivf: ' err)" -eq 1 ] || fail "not one line of error"
    grep -qFx "mpivf: $1" err || fail "no error '$1'"
}

# complains_of PATTERN...: the program said one line of error and no result, and each extended regular expression is found in
# the line. Warnings are no errors.
complains_of() {
    local pattern
    [ "$(grep -v '^mpivf: warning: ' err | grep -c '^mpivf: ')" -eq 1 ] || fail "not one line of error"
    [ ! -s out ] || fail "a result beside the error"
    for pattern in "$@"; do
        grep '^mpivf: ' err | grep -qE -e "$pattern" || fail "no '$pattern' in the error"
    done
}

# prints PATTERN: a line of the result matches the extended regular expression.
prints() {
    grep -qE -- "$1" out || fail "no line '$1' in the result"
}

# json EXPRESSION: the result is one JSON value d for which the Python expression holds.
json() {
    python3 - "$1" <<'PYTHON' || fail "not so: $1"
import json, math, sys
d = json.load(open("out"))
sys.exit(0 if eval(sys.argv[1]) else 1)
PYTHON
}

# within MEMORY COMMAND...: succeeds, and no process of it takes more than so many mebibytes, as the kernel counts.
within() {
    python3 - "$@" <<'PYTHON' || fail "not within $1M: ${*:2}"
import resource, subprocess, sys
limit = int(sys.argv[1]) << 20
with open("out", "wb") as out, open("err", "wb") as err:
    code = subprocess.call(sys.argv[2:], stdout=out, stderr=err)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
print(f"{code} {peak / 2**20:.1f} MiB of {sys.argv[1]}", file=sys.stderr)
sys.exit(code != 0 or limit < peak)
PYTHON
}

# same A B: two files of the same bytes.
same() {
    cmp -s "$1" "$2" || fail "$1 and $2 differ"
}

# with_python MODULE...: sets `python` to an interpreter that has those modules, or skips the test.
with_python() {
    local candidate imports
    imports=$(printf 'import %s\n' "$@")
    for candidate in python3 /usr/bin/python3; do
        if "$candidate" -c "$imports" 2>/dev/null; then
            # shellcheck disable=SC2034 # for the scripts
            python=$candidate
            return
        fi
    done
    echo "no python3 with $*"
    exit 77
}

# u32 NUMBER...: as 4 little-endian bytes each.
u32() {
    local number
    for number in "$@"; do
        # shellcheck disable=SC2059 # the format is made of hexadecimal digits
        printf "$(printf '\\x%02x\\x%02x\\x%02x\\x%02x' $((number & 255)) $((number >> 8 & 255)) $((number >> 16 & 255)) \
            $((number >> 24 & 255)))"
    done
}

# patch FILE OFFSET: puts standard input there.
patch() {
    dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# kill_at FILE COMMAND...: a build of ./index, until that checkpoint is there.
kill_at() {
    local file=$1 pid
    shift
    "$@" >out 2>err </dev/null &
    pid=$!
    until compgen -G "index/building/*/train/$file" >found; do
        kill -0 "$pid" 2>/dev/null || fail "the build has ended before $file was there"
        sleep 0.01
    done
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null || true
    [ ! -e index/manifests/000001.json ] || fail "the build has ended before it was killed at $file"
}
