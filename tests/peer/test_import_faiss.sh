#!/usr/bin/env bash
# What FAISS wrote comes in, and goes out again as it was: FAISS answers both files alike, and mpivf finds what FAISS does.
# What mpivf does not hold is refused by name.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
with_python numpy h5py faiss
export OMP_WAIT_POLICY=passive OPENBLAS_NUM_THREADS=1
peer=("$python" "$MPIVF_SOURCE/tests/peer/search_faiss.py")
queries=$photosift/query.u8bin
"$python" "$MPIVF_SOURCE/tests/peer/make_faiss.py" "$photosift" >/dev/null

through() { # through NAME NP NPROBE: in and out again
    expect 0 ranks "$2" "$MPIVF" import --quiet --format faiss "$1.faiss" "$1.ivf" --fragment-rows 700
    expect 0 ranks 1 "$MPIVF" search "$1.ivf" --quiet --queries "$queries" --k 10 --nprobe "$3" --output "$1.h5"
    expect 0 ranks 2 "$MPIVF" export "$1.ivf" --quiet --output "$1.again.faiss" --nprobe "$3"
}

np=1
names=()
for name in {Flat,SQ8,SQ6,SQ4,SQfp16,PQ16,PQ16x4,PQ8x6}.{l2,ip} absolute.l2 absolutepq.l2; do
    through "$name" "$np" 8
    same "$name.faiss" "$name.again.faiss"
    names+=("$name")
    np=$((np % 3 + 1))
done
# A rotation becomes a linear transform, and maps from ids to places are not kept.
for name in RR.l2 array.l2 hash.l2 disk.l2; do through "$name" 2 8; names+=("$name"); done
through sparse.l2 3 64
same sparse.l2.faiss sparse.l2.again.faiss
through graph.l2 2 32
for name in "${names[@]}" sparse.l2; do
    "${peer[@]}" --search "$name.again.faiss" "$queries" again.npz
    "${peer[@]}" --same "$name.npz" again.npz
done
"${peer[@]}" --found "${names[@]}"
"${peer[@]}" --found graph.l2
"${peer[@]}" --found sparse.l2
expect 0 ranks 3 "$MPIVF" verify disk.l2.ivf

# The number of ranks does not show.
expect 0 ranks 1 "$MPIVF" import --quiet SQ8.l2.faiss one.ivf --fragment-rows 700
expect 0 ranks 3 "$MPIVF" import --quiet SQ8.l2.faiss three.ivf --fragment-rows 700
diff -r one.ivf/fragments three.ivf/fragments || fail "fragments differ"
diff -r one.ivf/models three.ivf/models || fail "models differ"
expect 4 ranks 2 "$MPIVF" import --quiet SQ8.l2.faiss one.ivf
expect 0 ranks 2 "$MPIVF" import --json --quiet SQ8.ip.faiss one.ivf --replace
json "d['version'] == 2 and d['metric'] == 'ip' and d['rows'] == 4000 and d['nprobe'] == 8"

for file in refused/*.faiss; do
    name=${file#refused/}
    expect 3 "$MPIVF" import --quiet "$file" refused.ivf
    complains_of "[^/]${name%.faiss}"
    [ ! -e refused.ivf ] || fail "$file left an index"
done
rm disk.ivfdata
expect 3 "$MPIVF" import --quiet disk.l2.faiss refused.ivf
complains_of "disk.ivfdata"
