#!/usr/bin/env bash
# h5py opens what io/h5 writes: every type, half floats among them, groups, empty arrays, attributes.
# MPIVF_PYTHON names a Python that has h5py, if python3 has not.
set -euo pipefail
python=${MPIVF_PYTHON:-python3}
"$python" -c 'import h5py, numpy' 2>/dev/null || { echo "no h5py"; exit 77; }
library=$MPIVF_BUILD/src/libmpivf.a
# The sanitizers' builds want their own flags and test the same writer in unit.test_h5.
if nm "$library" | grep -qE '__(asan|tsan)_'; then
    echo "a sanitizer's build"
    exit 77
fi
read -ra flags <<<"$(pkg-config --cflags --libs hdf5-openmpi openblas jansson libxxhash ompi-c)"
"$MPIVF_CC" -D_GNU_SOURCE -std=c11 -pthread -I"$MPIVF_SOURCE/src" -I"$MPIVF_SOURCE/include" -I"$MPIVF_BUILD/include" \
    "$MPIVF_SOURCE/tests/support/write_h5.c" "$library" "${flags[@]}" -lm -o write_h5
./write_h5 all.h5
"$python" - all.h5 <<'PYTHON'
import sys

import h5py
import numpy as np

names = {"f32": "<f4", "f64": "<f8", "u8": "|u1", "i8": "|i1", "i32": "<i4", "i64": "<i8", "u64": "<u8"}
with h5py.File(sys.argv[1], "r") as file:
    for name, dtype in names.items():
        assert file[name].dtype == np.dtype(dtype), (name, file[name].dtype)
        assert file[name].chunks is None and file[name].compression is None
        assert file[name].id.get_offset() % 4096 == 0
        assert (file[name][...] == np.arange(15).reshape(5, 3)).all(), name
    halves = file["group/f16"]
    assert halves.dtype == np.float16, halves.dtype
    assert (halves[...] == np.array([1, -2.5, 65504, 2.0**-24, np.inf], np.float16)).all(), halves[...]
    assert file["empty"].shape == (0, 3) and file["empty"].dtype == np.float32
    text = file.attrs["text"]
    assert (text.decode() if isinstance(text, bytes) else str(text)) == "Ångström", text
    assert file.attrs["number"] == -(2**63)
    assert sorted(file) == sorted([*names, "group", "empty"])
PYTHON
