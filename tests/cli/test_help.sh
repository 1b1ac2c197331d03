#!/usr/bin/env bash
# --help, --version, the manual page and the completion: for every command, and without MPI.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"

commands=(build train plan search eval tune exact info verify repair vacuum generate export import convert)

# MPI cannot start like this: whoever asks for it fails.
export OMPI_MCA_ess=nowhere
code=0
"$MPIVF" info x >out 2>err || code=$?
[ "$code" -ne 0 ] || fail "MPI starts all the same: the test shows nothing"

expect 0 "$MPIVF" --version
prints '^mpivf [0-9]+\.[0-9]+\.[0-9]+$'
expect 0 "$MPIVF" --help
for command in "${commands[@]}"; do prints "^  $command +[a-z]"; done
cp out whole
expect 0 "$MPIVF" help
same out whole
for command in "${commands[@]}"; do
    expect 0 "$MPIVF" "$command" --help
    prints "^Usage: mpivf $command "
    prints '^      --json$'
    cp out one
    expect 0 "$MPIVF" help "$command"
    same out one
    [ ! -s err ] || fail "help of $command on stderr"
    if grep -E '^.{81}' one | grep -v '^  mp'; then fail "the help of $command has long lines"; fi
done
if grep -E '^.{81}' whole; then fail "the help has long lines"; fi

expect 0 "$MPIVF" --man
prints '^\.TH MPIVF 1 '
for command in "${commands[@]}"; do prints "^\.SS mpivf $command\$"; done
if command -v groff >/dev/null; then
    groff -man -Tutf8 -ww -z out 2>warnings
    [ ! -s warnings ] || fail "groff: $(cat warnings)"
fi

expect 0 "$MPIVF" --completion
bash -n out || fail "no valid script"
# complete_words WORD...: what bash would offer for the last word.
complete_words() {
    (
        # shellcheck disable=SC1091
        source ./out
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        _mpivf
        echo "${COMPREPLY[*]}"
    )
}
offers() { # offers EXPECTED WORD...
    local expected=$1
    shift
    [ "$(complete_words "$@")" = "$expected" ] || fail "'$*' offers '$(complete_words "$@")', not '$expected'"
}
touch some.npy
offers "build" mpivf bu
offers "exact" mpivf help exa
offers "--fragment-rows" mpivf build --fra
offers "l2 ip cosine" mpivf build x --metric ""
offers "auto" mpivf build x --sample ""
offers "some.npy" mpivf build x --input some
offers "some.npy" mpivf build x -i some
offers "--nprobe" mpivf search x --npr
offers "" mpivf info x --npr
