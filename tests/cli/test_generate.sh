#!/usr/bin/env bash
# Synthetic vectors: the same bytes on any number of ranks and threads, in every format, or a refusal.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"

make() { # make RANKS FILE OPTION...
    local n=$1 file=$2
    shift 2
    expect 0 ranks "$n" "$MPIVF" generate --output "$file" --rows 5003 --dim 300 --clusters 20 --quiet "$@"
}
make 1 one.fbin --threads 1 --queries 77 --queries-output q1.fbin
make 2 two.fbin --threads 1 --queries 77 --queries-output q2.fbin
make 3 three.fbin --threads 2 --queries 77 --queries-output q3.fbin
same one.fbin two.fbin
same one.fbin three.fbin
same q1.fbin q2.fbin
same q1.fbin q3.fbin
[ "$(stat -c %s one.fbin)" -eq $((8 + 5003 * 300 * 4)) ] || fail "wrong size"
[ "$(stat -c %s q1.fbin)" -eq $((8 + 77 * 300 * 4)) ] || fail "wrong size"

# A row depends on seed and number alone; queries are other rows; another seed is other rows.
expect 0 "$MPIVF" generate --output few.fbin --rows 77 --dim 300 --clusters 20 --quiet
cmp -s <(tail -c +9 few.fbin) <(tail -c +9 one.fbin | head -c $((77 * 300 * 4))) || fail "the first rows differ"
if cmp -s few.fbin q1.fbin; then fail "the queries are the rows"; fi
expect 0 "$MPIVF" generate --output other.fbin --rows 77 --dim 300 --clusters 20 --quiet --seed 2
if cmp -s few.fbin other.fbin; then fail "the seed has no effect"; fi

# The same bytes in every format that can hold them.
for n in 1 3; do make "$n" "r$n.u8bin" --type u8; done
same r1.u8bin r3.u8bin
make 2 r.npy --type u8
cmp -s <(tail -c +9 r1.u8bin) <(tail -c $((5003 * 300)) r.npy) || fail ".npy and .u8bin differ"
make 2 r.bvecs --type u8
[ "$(stat -c %s r.bvecs)" -eq $((5003 * 304)) ] || fail "wrong size"

# What is said about them.
expect 0 ranks 2 "$MPIVF" generate --output one.npy --rows 10 --dim 4 --json
json 'd["rows"] == 10 and d["dim"] == 4 and d["intrinsic"] == 4 and d["output"] == "one.npy" and d["seed"] == 1'

expect 2 "$MPIVF" generate --output a.u8bin --rows 10 --dim 4
complains "generate: a.u8bin: bytes cannot hold real values; use --type u8, or .fbin"
expect 2 "$MPIVF" generate --output a.i8bin --rows 10 --dim 4 --type u8
complains "generate: a.i8bin: signed bytes cannot hold the generated values; use .u8bin"
expect 2 "$MPIVF" generate --output a.fbin --rows 10 --dim 4 --intrinsic 5
complains "generate: --intrinsic 5 exceeds --dim 4"
expect 2 "$MPIVF" generate --output a.txt --rows 10 --dim 4
expect 2 ranks 2 "$MPIVF" generate --output nowhere/a.fbin --rows 10 --dim 4
[ "$(grep -c '^mpivf: generate: ' err)" -eq 1 ] || fail "not one line of error"
for file in a.*; do [ ! -e "$file" ] || fail "$file was written all the same"; done
