#!/usr/bin/env bash
# mpivf convert: any format to any other and back without a changed byte, on any number of ranks; ground truth in both layouts;
# values that a type cannot hold are refused by row.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
with_python numpy
base=$photosift/base.u8bin

convert() { # convert NP OUTPUT INPUT OPTION...
    expect 0 ranks "$1" "$MPIVF" convert --quiet --output "$2" --input "${@:3}"
}
refuse() { # refuse CODE PATTERN OPTION...
    expect "$1" "$MPIVF" convert --quiet "${@:3}"
    complains_of "$2"
    [ -z "$(find . -name 'refused*')" ] || fail "$(find . -name 'refused*') was left"
}

np=1
last=$base
for name in a.npy b.fbin c.fvecs d.f16bin e.h5 f.bvecs g.hdf5; do
    convert "$np" "$name" "$last"
    last=$name
    np=$((np % 3 + 1))
done
convert 2 back.u8bin "$last"
same "$base" back.u8bin
for name in x.npy x.fbin x.h5 x.fvecs; do
    convert 1 "one.$name" "$base"
    convert 3 "three.$name" "$base"
    same "one.$name" "three.$name"
done
convert 2 rows.h5 "$base" --type f16 --output-dataset vectors/rows
convert 2 again.u8bin rows.h5 --dataset vectors/rows
same "$base" again.u8bin

"$python" - "$base" <<'PY'
import numpy as np, os, sys
n, d = np.fromfile(sys.argv[1], "<u4", 2)
rows = np.fromfile(sys.argv[1], "u1", offset=8).reshape(n, d)
a = np.load("a.npy")
assert a.dtype == np.uint8 and (a == rows).all()
b = np.fromfile("b.fbin", "<f4", offset=8).reshape(n, d)
assert (b == rows).all() and np.fromfile("b.fbin", "<u4", 2).tolist() == [n, d]
try:
    import h5py
    assert h5py.File("e.h5")["train"].dtype == np.float16 and (h5py.File("e.h5")["train"][...] == rows).all()
    assert list(h5py.File("rows.h5")) == ["vectors"] and (h5py.File("rows.h5")["vectors/rows"][...] == rows).all()
except ImportError:
    print("no h5py")
os.mkdir("shards")
real = np.random.default_rng(1).normal(size=(1000, 32)) * 20
for i in range(4):
    np.save(f"shards/{i}.npy", real[250 * i:250 * (i + 1)])
np.save("signed.npy", np.clip(np.rint(real), -128, 127).astype("f4"))
np.save("large.npy", np.full((3, 4), 70000, "f4"))
np.save("nan.npy", np.array([[1, 2], [3, np.nan]], "f4"))
open("ids.ivecs", "wb").write(np.array([2, 5, 6], "<i4").tobytes())
PY
convert 3 real.npy shards
"$python" - <<'PY'
import numpy as np
real = np.concatenate([np.load(f"shards/{i}.npy") for i in range(4)])
assert np.load("real.npy").dtype == np.float32 and (np.load("real.npy") == real.astype("f4")).all()
PY
convert 2 signed.i8bin signed.npy
convert 2 again.npy signed.i8bin --type f32
"$python" -c "import numpy as np; assert (np.load('signed.npy') == np.load('again.npy')).all()"

refuse 3 "row 0 of .*signed.npy holds .*, which u8 cannot" --input signed.npy --output refused.u8bin
refuse 3 "row [0-9]+ of .*0.npy holds .*, which i8 cannot" --input shards --output refused.i8bin
refuse 3 "70000, which f16 cannot" --input large.npy --output refused.f16bin
refuse 3 "row 1 of .*nan.npy holds .*nan, which u8 cannot" --input nan.npy --output refused.npy --type u8
refuse 2 "refused.fbin is a file of f32 by its name" --input a.npy --output refused.fbin --type u8
refuse 2 "names that end in" --input a.npy --output refused.txt
refuse 2 "would replace" --input a.npy --output a.npy
refuse 2 "has no effect: refused.fbin is no HDF5 file" --input a.npy --output refused.fbin --output-dataset x
refuse 2 "give --input PATH" --output refused.fbin
refuse 2 "not both" --input a.npy --groundtruth "$photosift/gt100.bin" --output refused.fbin
refuse 3 "no such file|cannot|nothing|not" --input nowhere.npy --output refused.fbin

# Ground truth of big-ann-benchmarks as ann-benchmarks has it, and back.
truth() { expect 0 ranks 2 "$MPIVF" convert --quiet --groundtruth "$1" --output "$2"; }
truth "$photosift/gt100.bin" truth.h5
truth truth.h5 truth.bin
same "$photosift/gt100.bin" truth.bin
truth truth.h5 split.ibin
[ -s split.fbin ] || fail "no distances"
refuse 3 "has no distances" --groundtruth ids.ivecs --output refused.bin
refuse 2 "has no effect with --groundtruth" --groundtruth truth.h5 --output refused.bin --type f32
