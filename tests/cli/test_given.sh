#!/usr/bin/env bash
# What was trained elsewhere is used as it is, bit by bit; what does not go together is refused by name. mpivf train: a
# model without rows, for builds of other rows and for exports.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
with_python numpy
input=$photosift/base.u8bin
quick=(--sample 3000 --iterations 3)

train() { expect 0 ranks 2 "$MPIVF" train "$1" --quiet --input "$input" "${@:2}"; }
build() { expect 0 ranks 2 "$MPIVF" build "$1" --quiet --input "$input" "${@:2}"; }
refuse() { # refuse CODE PATTERN OPTION...
    expect "$1" "$MPIVF" build refused --quiet --input "$input" "${@:3}"
    complains_of "$2"
    [ ! -e refused ] || fail "an index was left"
}

# A model alone: every command but search takes it.
train model --factory OPQ8_32,IVF96,PQ8 --level-nodes 12 --pq-iterations 3 "${quick[@]}" --json
json "d['version'] == 1 and d['nlist'] == 96 and d['levels'] == 2 and len(d['model']) == 16"
expect 0 ranks 3 "$MPIVF" verify model --json
json "d['postings'] == 0"
expect 0 "$MPIVF" info model --json
json "d['rows'] == 0 and d['fragments'] == []"
expect 2 "$MPIVF" search model --queries "$photosift/query.u8bin"
complains_of "holds a model and no rows"
expect 2 "$MPIVF" search model --ids 5
complains_of "holds a model and no rows"
expect 4 "$MPIVF" train model --quiet --input "$input"
expect 0 ranks 2 "$MPIVF" export model --quiet --format npy --output parts
expect 0 "$MPIVF" vacuum model --delete --older-than 0
build whole --factory OPQ8_32,IVF96,PQ8 --level-nodes 12 --pq-iterations 3 "${quick[@]}" --fragment-rows 3000
same model/models/*.h5 whole/models/*.h5

# The same model for other builds, which come out as if they had trained it.
build by_model --model model --fragment-rows 3000
same model/models/*.h5 by_model/models/*.h5
python3 - <<'PY'
import json
whole, by_model = (json.load(open(f"{name}/manifests/000001.json")) for name in ("whole", "by_model"))
assert whole["list_sizes"] == by_model["list_sizes"] and whole["digest_out"] == by_model["digest_out"]
assert by_model["config"]["factory"] == "OPQ8_32,IVF96,PQ8" and "seed" not in by_model["config"]
PY
expect 0 ranks 1 "$MPIVF" search whole --quiet --queries "$photosift/query.u8bin" --output a.ibin
expect 0 ranks 1 "$MPIVF" search by_model --quiet --queries "$photosift/query.u8bin" --output b.ibin
same a.ibin b.ibin
build by_model --model by_model --replace --factory OPQ8_32,IVF,PQ8 --metric l2
refuse 2 "the model of model is OPQ8_32,IVF96,PQ8" --model model --factory IVF,SQ8
refuse 2 "the model of model is for l2" --model model --metric ip
for option in --seed --sample --iterations --levels; do
    refuse 2 "$option has no effect with --model" --model model "$option" 2
done
refuse 3 "holds no index" --model parts

# Parts, all and one by one: equal bytes in the model.
build by_parts --factory OPQ8_32,IVF,PQ8 --centroids parts/centroids.npy --centroids-top parts/level1.centroids.npy \
    --rotation parts/rotation.npy --codebooks parts/codec.codebooks.npy --sample 3000
expect 0 "$MPIVF" export by_parts --quiet --format npy --output again
for part in centroids level1.centroids level1.first rotation codec.codebooks; do same "parts/$part.npy" "again/$part.npy"; done
expect 0 ranks 1 "$MPIVF" search by_parts --quiet --queries "$photosift/query.u8bin" --output c.ibin
same a.ibin c.ibin
build by_rotation --factory OPQ8_32,IVF32,SQ8 --rotation parts/rotation.npy "${quick[@]}"
expect 0 "$MPIVF" export by_rotation --quiet --format npy --output rotated
same parts/rotation.npy rotated/rotation.npy
build by_codebooks --factory OPQ8_32,IVF32,PQ8 --codebooks parts/codec.codebooks.npy "${quick[@]}"
expect 0 "$MPIVF" export by_codebooks --quiet --format npy --output coded
same parts/codec.codebooks.npy coded/codec.codebooks.npy

# Centroids from elsewhere, in no order: as they stand, or under the nearest of a level above them, as numpy sees it. The
# number of ranks does not show.
"$python" - "$input" <<'PY'
import numpy as np, sys
n, d = np.fromfile(sys.argv[1], "<u4", 2)
rows = np.fromfile(sys.argv[1], "u1", offset=8).reshape(n, d).astype("f4")
np.save("c.npy", rows[100:170])
np.save("t.npy", rows[7000:7009])
np.save("unit.npy", rows[100:170] / np.linalg.norm(rows[100:170], axis=1, keepdims=True))
np.save("wide.npy", rows[100:170, :64])
np.save("double.npy", rows[100:170].astype("f8"))
np.save("matrix.npy", np.eye(128, dtype="f4") * 2)
bad = rows[100:170].copy()
bad[3, 5] = np.nan
np.save("nan.npy", bad)
open("cut.npy", "wb").write(open("c.npy", "rb").read()[:-4])
PY
build flat --factory IVF,SQ8 --centroids c.npy
expect 0 "$MPIVF" export flat --quiet --format npy --output listed
same c.npy listed/centroids.npy
for n in 1 3; do
    expect 0 ranks "$n" "$MPIVF" train "two$n" --quiet --input "$input" --factory IVF70,Flat --centroids c.npy --centroids-top t.npy
done
same two1/models/*.h5 two3/models/*.h5
expect 0 "$MPIVF" export two1 --quiet --format npy --output two
"$python" - <<'PY'
import numpy as np
given, top = np.load("c.npy"), np.load("t.npy")
assert (np.load("two/level1.centroids.npy") == top).all()
lists, first = np.load("two/centroids.npy"), np.load("two/level1.first.npy")
parent = ((given[:, None] - top[None]) ** 2).sum(2).argmin(1)
assert (lists == given[np.argsort(parent, kind="stable")]).all()
assert (np.diff(first) == np.bincount(parent, minlength=len(top))).all()
PY
build unit --factory IVF,Flat --metric cosine --centroids unit.npy

refuse 2 "--factory has 64 lists, --centroids c.npy has 70" --factory IVF64,Flat --centroids c.npy
refuse 3 "norm 1" --factory IVF,Flat --metric cosine --centroids c.npy
refuse 3 "70 x 64: its dimension 2 must be 128" --factory IVF,Flat --centroids wide.npy
refuse 3 "float32" --factory IVF,Flat --centroids double.npy
refuse 3 "position 389 is not finite" --factory IVF,Flat --centroids nan.npy
refuse 3 "does not go with" --factory IVF,Flat --centroids cut.npy
refuse 3 "no such file|cannot|missing|not be" --factory IVF,Flat --centroids nowhere.npy
refuse 3 "changes squared lengths" --factory OPQ16,IVF16,SQ8 --rotation matrix.npy
refuse 2 "give the --rotation" --factory OPQ16,IVF,SQ8 --centroids c.npy
refuse 2 "--factory has no OPQ" --factory IVF16,SQ8 --rotation matrix.npy
refuse 2 "--factory has no PQ" --factory IVF16,SQ8 --codebooks parts/codec.codebooks.npy
refuse 3 "3 dimensions" --factory IVF16,PQ8 --codebooks c.npy
refuse 3 "8 x 256 x 4: its dimension 3 must be 16" --factory IVF16,PQ8 --codebooks parts/codec.codebooks.npy
# A rotation that is given may be larger than one that is trained.
"$python" - <<'PY'
import numpy as np
np.save("long.npy", np.random.default_rng(1).standard_normal((300, 8200)).astype("f4"))
np.save("first.npy", np.eye(8, 8200, dtype="f4"))
PY
expect 3 "$MPIVF" build refused --input long.npy --factory OPQ8_8,IVF4,PQ8 --pq-iterations 2
complains_of "that are trained take and yield at most 8192 values"
expect 0 "$MPIVF" build long --quiet --input long.npy --factory OPQ8_8,IVF4,PQ8 --pq-iterations 2 --rotation first.npy
# More lists than rows of the sample, of which some cannot be used.
"$python" - <<'PY'
import numpy as np
x = np.random.default_rng(1).standard_normal((3000, 16)).astype("f4")
np.save("many.npy", x[:2500])
x[::10, 3] = np.nan
np.save("gaps.npy", x)
PY
expect 0 ranks 2 "$MPIVF" build gaps --quiet --input gaps.npy --factory IVF,Flat --centroids many.npy --on-bad-row skip --json
json "d['nlist'] == 2500 and d['skipped'] == 300"
refuse 2 "--iterations has no effect with --centroids" --factory IVF,Flat --centroids c.npy --iterations 3
refuse 2 "--centroids-top has no effect without --centroids" --factory IVF64,Flat --centroids-top t.npy
expect 0 "$MPIVF" plan index --input "$input" --factory IVF,Flat --centroids c.npy --centroids-top t.npy --json
json "d['nlist'] == 70 and d['levels'] == 2"
expect 0 "$MPIVF" plan index --input "$input" --model model --json
json "d['factory'] == 'OPQ8_32,IVF96,PQ8' and d['sample_rows'] == 0 and d['memory']['phases']['sample']['bytes'] == 0"
expect 2 "$MPIVF" plan index --input "$input" --model model --ranks 4
complains_of "predictions are of builds that train"
refuse 2 "2 levels, not 3" --factory IVF,Flat --centroids c.npy --centroids-top t.npy --levels 3
refuse 2 "more than there are below" --factory IVF64,Flat --level-nodes 65
refuse 2 "make 3 levels, not the 2" --factory IVF64,Flat --level-nodes 4,9 --levels 2

# A training that was killed before its commit goes on from the model, on other ranks, and ends the same.
failio=$MPIVF_BUILD/tests/libmpivf_failio.so
if [ -e "$failio" ]; then
    code=0
    quick+=(--factory "IVF64,SQ8")
    ranks 2 env LD_PRELOAD="$failio" FAILIO="link,/manifests/,1,kill" "$MPIVF" train killed --input "$input" "${quick[@]}" \
        >out 2>err </dev/null || code=$?
    [ "$code" -ne 0 ] || fail "was not killed"
    expect 3 "$MPIVF" info killed
    expect 4 "$MPIVF" build killed --input "$input" "${quick[@]}"
    complains_of "unfinished build of something else"
    expect 0 ranks 3 "$MPIVF" train killed --input "$input" "${quick[@]}"
    grep -q "resuming: model kept" err || fail "not continued"
    train sound "${quick[@]}"
    same killed/models/*.h5 sound/models/*.h5
    [ -z "$(find killed -name building)" ] || fail "a build was left behind"
fi
