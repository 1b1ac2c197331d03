#!/usr/bin/env bash
# What is wrong with a command line is said in one line, with code 2, on any number of ranks.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"

expect 2 "$MPIVF"
complains "no command; see mpivf --help"
expect 2 "$MPIVF" serch
complains "unknown command 'serch'; did you mean 'search'?"
expect 2 "$MPIVF" build x --inptu y
complains "build: unknown option --inptu; did you mean --input?"
expect 2 "$MPIVF" build x --input y --iterations 0
complains "build: --iterations: 0 is out of range: 1 to 1000"
expect 2 "$MPIVF" build x --i y
complains "build: --i is ambiguous: --input, --ids, --ids-dataset, --iterations"
expect 2 "$MPIVF" build x --input y.npy --dataset base
complains "build: --dataset base has no effect: y.npy is no HDF5 file"
expect 2 "$MPIVF" build x --input y --factory IVF,SQ8 --pq-iterations 3
complains "build: --pq-iterations has no effect: --factory IVF,SQ8 has no PQ"
expect 2 ranks 3 "$MPIVF" build x --inptu y
complains "build: unknown option --inptu; did you mean --input?"
expect 2 ranks 3 "$MPIVF" search x
complains "search: --queries FILE is missing"
expect 2 timeout 60 mpirun -n 1 "$MPIVF" info x : -n 1 "$MPIVF" info y
complains "info: the ranks were started with different options"

# What cannot be written is a failure.
to_full() { "$@" >/dev/full; }
full="cannot write to the standard output: No space left on device; free some space or write elsewhere"
expect 1 to_full "$MPIVF" --help
complains "$full"
expect 1 to_full "$MPIVF" info x --print-config
complains "info: $full"
to_pipe() { "$@" >&3; }
{
    sleep 0.5
    expect 1 to_pipe "$MPIVF" --man
    complains "cannot write to the standard output: Broken pipe"
    touch was_here
} 3>&1 | true
[ -e was_here ] || fail "the pipe was not tried"
