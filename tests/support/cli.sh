# shellcheck shell=bash
# Helpers for scripts that run the program: source it; then `expect 2 "$MPIVF" ...` and look at what came out.
set -euo pipefail
: "${MPIVF:?the program}" "${MPIVF_SOURCE:?the source tree}"

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

# ranks N COMMAND...: under mpirun.
ranks() {
    local n=$1
    shift
    mpirun -n "$n" --bind-to none "$@"
}

# complains TEXT: the program said one line of error, exactly this.
complains() {
    [ "$(grep -c '^mpivf: ' err)" -eq 1 ] || fail "not one line of error"
    grep -qFx "mpivf: $1" err || fail "no error '$1'"
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

# same A B: two files of the same bytes.
same() {
    cmp -s "$1" "$2" || fail "$1 and $2 differ"
}
