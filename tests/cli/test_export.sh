#!/usr/bin/env bash
# mpivf export: what it refuses, and that a failure leaves nothing behind.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
ranks 2 "$MPIVF" build index --quiet --input "$photosift/base.u8bin" --factory IVF16,SQ8 --fragment-rows 3000 --sample 2000 \
    --iterations 2 >/dev/null

expect 2 "$MPIVF" export index
complains "export: --output FILE is missing"
expect 2 "$MPIVF" export index --format hnsw --output a
expect 2 "$MPIVF" export index --output nowhere/a
complains "export: --output nowhere/a: there is no folder nowhere"
mkdir there
expect 2 "$MPIVF" export index --output there
complains "export: --output there is a folder; name a file"
expect 2 "$MPIVF" export index --format npy --nprobe 4 --output model
complains "export: --nprobe has no effect with --format npy"
expect 4 "$MPIVF" export index --format npy --output there
complains "export: there is there already; choose a new name"
expect 3 "$MPIVF" export there --output a

expect 0 "$MPIVF" export index --quiet --output first
[ ! -s err ] || fail "words on stderr"

# A byte of each part of a fragment: what is damaged is not copied, and nothing is left.
fragment=$(find index/fragments -name '*.h5' | sort | sed -n 2p)
cp "$fragment" sound
refuses_damage() { # refuses_damage OFFSET PATTERN
    local old
    old=$(od -An -tu1 -j "$1" -N 1 sound)
    # shellcheck disable=SC2059 # an octal escape
    printf "\\$(printf %o $((old ^ 1)))" | patch "$fragment" "$1"
    expect 5 ranks 3 "$MPIVF" export index --quiet --output second
    complains_of "$2"
    [ -z "$(find . -maxdepth 1 -name 'second*')" ] || fail "$(find . -maxdepth 1 -name 'second*') was left"
    cp sound "$fragment"
}
bytes=$(stat -c %s sound)
for place in 2 3; do refuses_damage $((bytes * place / 4)) "fragment .*: list [0-9]+ does not have its checksum|checksum"; done
rm "$fragment"
expect 5 ranks 2 "$MPIVF" export index --quiet --output second
complains_of "is missing, though the manifest names it"
cp sound "$fragment"

# No room for the file.
expect 1 env OMPI_MCA_btl=self,tcp timeout -k 5 60 mpirun -n 2 --bind-to none bash -c 'ulimit -f 64; exec "$@"' limited "$MPIVF" export index --quiet --output second
complains_of "second"
[ -z "$(find . -maxdepth 1 -name 'second*')" ] || fail "a file was left"

expect 0 ranks 3 "$MPIVF" export index --quiet --output second
same first second
