#!/usr/bin/env bash
# faiss.read_index opens what mpivf export writes, for every codec and metric, and finds the same rows; FAISS would write
# the same bytes; and the number of ranks does not show. "long" tries every codec with every metric, on all rows.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
with_python numpy h5py faiss
# Spinning threads of two libraries would fight for the cores.
export OMP_WAIT_POLICY=passive OPENBLAS_NUM_THREADS=1
peer=("$python" "$MPIVF_SOURCE/tests/peer/search_faiss.py")
queries=$photosift/query.u8bin
base=$photosift/base.u8bin
names=()

prepare() { # prepare FACTORY METRIC: an index, what mpivf finds in it, and its export
    local name=$1.$2 training=(--sample 3000 --iterations 4)
    if [[ ${1##*,} == PQ* ]]; then training+=(--pq-iterations 4); fi
    names+=("$name")
    "$MPIVF" build "$name.ivf" --quiet --input "$base" --factory "$1" --metric "$2" \
        --fragment-rows 1500 "${training[@]}" >/dev/null
    "$MPIVF" search "$name.ivf" --quiet --queries "$queries" --k 10 --nprobe 8 --output "$name.h5" >/dev/null
    expect 0 ranks 3 "$MPIVF" export "$name.ivf" --output "$name.faiss"
    if [ "$2" = cosine ]; then grep -q "FAISS knows no cosine" err || fail "no note on cosine"; fi
}

if [ "${1:-short}" = long ]; then
    for metric in l2 ip cosine; do
        for codec in Flat SQfp16 SQ8 SQ6 SQ4 PQ16 PQ32x4 PQ16x5 PQ16x6 PQ16x7; do prepare "IVF64,$codec" "$metric"; done
    done
else
    base=$PWD/base.u8bin
    { u32 4000 128; head -c $((8 + 4000 * 128)) "$photosift/base.u8bin" | tail -c +9; } >"$base"
    # One codec of each kind with every metric, the others with one.
    for pair in SQ8.l2 SQ8.ip SQ8.cosine PQ16.l2 PQ16.ip Flat.ip SQfp16.ip SQ6.cosine SQ4.l2 PQ32x4.cosine PQ16x5.l2 PQ16x6.ip \
        PQ16x7.l2; do
        prepare "IVF64,${pair%.*}" "${pair#*.}"
    done
fi
prepare IVF64,PQ32x4fs l2
prepare OPQ16,IVF64,PQ16 l2
prepare OPQ8_32,IVF64,SQ8 ip
"${peer[@]}" "$queries" 8 "${names[@]}"

name=IVF64,PQ16.l2
for n in 1 2; do
    expect 0 ranks "$n" "$MPIVF" export "$name.ivf" --quiet --output again.faiss
    same "$name.faiss" again.faiss
done

# Most lists are empty: FAISS then keeps the sizes of the others alone.
"$python" -c "import numpy; numpy.arange(300).repeat(8).astype('u1').tofile('rows')"
{ u32 300 8; cat rows; } >few.u8bin
"$python" -c "import numpy; numpy.save('ids.npy', numpy.arange(300, dtype='i8')[::-1] * 10**15)"
ranks 2 "$MPIVF" build few.l2.ivf --quiet --input few.u8bin --ids ids.npy --factory IVF200,Flat --fragment-rows 100 >/dev/null
ranks 1 "$MPIVF" search few.l2.ivf --quiet --queries few.u8bin --k 1 --nprobe 200 --output few.l2.h5 >/dev/null
expect 0 ranks 2 "$MPIVF" export few.l2.ivf --quiet --output few.l2.faiss --nprobe 1000000
"${peer[@]}" few.u8bin 200 few.l2

# The lists in a file of their own, which FAISS finds from anywhere, and beside the index when both were moved.
mkdir -p disk moved
expect 0 ranks 3 "$MPIVF" export "$name.ivf" --json --format faiss-ondisk --output disk/index.faiss
json "d['data'].endswith('/disk/index.faiss.ivfdata') and d['postings'] == $(od -An -tu4 -N4 "$base") and d['lists'] == 64"
"${peer[@]}" --search "$name.faiss" "$queries" whole.npz
(cd / && "${peer[@]}" --search "$OLDPWD/disk/index.faiss" "$queries" "$OLDPWD/disk.npz")
"${peer[@]}" --same whole.npz disk.npz
mv disk/* moved/
"${peer[@]}" --search moved/index.faiss "$queries" moved.npz "$("$python" -c "import faiss; print(faiss.IO_FLAG_ONDISK_SAME_DIR)")"
"${peer[@]}" --same whole.npz moved.npz

# The model as arrays.
expect 0 ranks 2 "$MPIVF" export OPQ16,IVF64,PQ16.l2.ivf --format npy --output model
"$python" - OPQ16,IVF64,PQ16.l2.ivf model <<'PY'
import glob, h5py, json, numpy as np, sys
manifest = json.load(open(sys.argv[1] + "/manifests/000001.json"))
with h5py.File(glob.glob(sys.argv[1] + "/models/*.h5")[0], "r") as model:
    for name in "centroids", "rotation", "codec/codebooks", "grid/centre", "objective":
        array = np.load(f"{sys.argv[2]}/{name.replace('/', '.')}.npy")
        assert array.dtype == model[name].dtype and (array == model[name][...]).all(), name
assert np.load(sys.argv[2] + "/list_sizes.npy").tolist() == manifest["list_sizes"]
PY
