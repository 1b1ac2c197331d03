#!/usr/bin/env bash
# The format is what FORMAT.md says: h5py and json read built indexes, and every rule is checked without any code of ours.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
with_python numpy h5py
check=("$python" "$MPIVF_SOURCE/tests/peer/check_index.py")

for metric in l2 cosine; do
    for factory in IVF32,Flat IVF32,SQfp16 IVF32,SQ8 IVF32,SQ6 IVF32,SQ4 IVF32,PQ16x6; do
        ranks 2 "$MPIVF" build "index.$metric.$factory" --quiet --input "$photosift/base.u8bin" --factory "$factory" \
            --metric "$metric" --fragment-rows 3000 >/dev/null
        "${check[@]}" "index.$metric.$factory" "$photosift/base.u8bin"
    done
done

# The version that tuning makes, of the same fragments.
for k in 10 3; do
    ranks 2 "$MPIVF" tune index.l2.IVF32,SQ8 --sample 100 --k $k >/dev/null
    "${check[@]}" index.l2.IVF32,SQ8 "$photosift/base.u8bin"
done

# A rotation before, and trees over the lists.
for shape in "OPQ16,IVF64,PQ16 --levels 2" "OPQ8_32,IVF64,SQ8 --levels 3 --assign tree"; do
    read -r factory options <<<"$shape"
    # shellcheck disable=SC2086
    ranks 2 "$MPIVF" build "index.$factory" --quiet --input "$photosift/base.u8bin" --factory "$factory" $options \
        --fragment-rows 3000 --keep-vectors f32 >/dev/null
    "${check[@]}" "index.$factory" "$photosift/base.u8bin"
done

# Rows that were passed over, and ids of the user's own.
ranks 1 "$MPIVF" generate --quiet --rows 2000 --dim 24 --output rows.fbin >/dev/null
printf '\x00\x00\xc0\x7f' | patch rows.fbin $((8 + 77 * 96 + 4))
printf '\x00\x00\x80\x7f' | patch rows.fbin $((8 + 1999 * 96))
"$python" -c "import numpy; numpy.save('ids.npy', numpy.arange(2000, dtype='u8')[::-1] * 10**12 + 5)"
for kept in f16 none; do
    ranks 3 "$MPIVF" build index.$kept --quiet --input rows.fbin --ids ids.npy --factory IVF16,Flat --on-bad-row skip \
        --fragment-rows 300 --keep-vectors $kept >/dev/null 2>&1
    "${check[@]}" index.$kept rows.fbin ids.npy
done

# The same, compacted.
for kept in f16 none; do
    for how in "--fragment-bytes 40000" --single-file; do
        # shellcheck disable=SC2086
        ranks 2 "$MPIVF" compact index.$kept --quiet $how >/dev/null
        "${check[@]}" index.$kept rows.fbin ids.npy
    done
done

# The checker finds damage, or the above would say nothing.
"$python" - index.l2.IVF32,SQ8 <<'PY'
import glob, h5py, sys
with h5py.File(sorted(glob.glob(sys.argv[1] + '/fragments/*.h5'))[1], 'r+') as f:
    f['ids'][5] = f['ids'][6]
PY
if "${check[@]}" index.l2.IVF32,SQ8 "$photosift/base.u8bin" 2>damage.txt; then
    fail "a changed id was not found"
fi
