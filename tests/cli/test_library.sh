#!/usr/bin/env bash
# The examples of docs/, built and run as a user would with an installed library. The oracle: what `mpivf search` finds.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
if grep -q '^MPIVF_SANITIZE:STRING=.' "$MPIVF_BUILD/CMakeCache.txt"; then
    echo "sanitizers are not for other people's programs"
    exit 77
fi
prefix=$PWD/prefix
cmake --install "$MPIVF_BUILD" --prefix "$prefix" >install.log
libraries=$(dirname "$(find "$prefix" -name libmpivf.a)")
examples=$prefix/share/doc/mpivf/examples
export PKG_CONFIG_PATH=$libraries/pkgconfig LD_LIBRARY_PATH=$libraries
read -ra flags <<<"$(pkg-config --cflags --libs mpivf)"
read -ra strict <<<"-std=c11 -Wall -Wextra -Werror -D_POSIX_C_SOURCE=200809L"

# The queries as the examples read them.
python3 - "$photosift/query.u8bin" <<'PYTHON'
import struct, sys
raw = open(sys.argv[1], "rb").read()
n, d = struct.unpack("<2I", raw[:8])
values = [float(v) for v in raw[8:]]
head = b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + ("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % (n, d)).ljust(117).encode() + b"\n"
data = struct.pack("<%df" % len(values), *values)
open("queries.fbin", "wb").write(raw[:8] + data)
open("queries.npy", "wb").write(head + data)
PYTHON

expect 0 ranks 2 "$MPIVF" build index.ivf --input "$photosift/base.u8bin" --factory IVF64,PQ16 --quiet
expect 0 "$MPIVF" search index.ivf --queries queries.fbin --k 7 --nprobe 5 --output found.ibin
python3 - >expected <<'PYTHON'
import struct
raw = open("found.ibin", "rb").read()
n, k = struct.unpack("<2I", raw[:8])
ids = struct.unpack("<%di" % (n * k), raw[8:])
for q in range(n):
    print(f"{q}:", *ids[q * k:(q + 1) * k])
PYTHON

"$MPIVF_CC" "${strict[@]}" "$examples/search.c" "${flags[@]}" -pthread -o search
expect 0 ./search index.ivf queries.fbin 7 5
same out expected
expect 2 ./search index.ivf queries.fbin 0 5
grep -q '^k = 0: ' err || fail "the library's line is not shown"
expect 3 ./search missing queries.fbin 7 5
grep -qFx "missing holds no index: there is no committed manifest in its folder manifests (bad input)" err || fail "no such line"

expect 0 mpicc "${strict[@]}" "$examples/search_ranks.c" "${flags[@]}" -o search_ranks
expect 0 ranks 3 ./search_ranks index.ivf
cp out of_three
expect 0 ./search_ranks index.ivf
same out of_three
[ "$(wc -l <out)" -eq 10 ] || fail "not 10 rows"
expect 3 ranks 2 ./search_ranks missing

with_python numpy
expect 0 "$python" "$examples/search.py" index.ivf queries.npy 7 5
same out expected
expect 1 "$python" "$examples/search.py" missing queries.npy 7 5
grep -q '^missing holds no index' err || fail "the library's line is not shown"

# Threads of Python share an index.
cat >threads.py <<'PYTHON'
import concurrent.futures, sys
import numpy
sys.path.insert(0, sys.argv[1])
from search import Error, Index
queries = numpy.load("queries.npy")
with Index("index.ivf") as index:
    assert (index.dimension, index.rows, index.metric, index.factory) == (128, 10000, "l2", "IVF64,PQ16")
    expected = index.search(queries, 7, 5)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: index.search(queries, 7, 5), range(12)):
            assert all(numpy.array_equal(a, b) for a, b in zip(found, expected))
    try:
        index.search(queries, 0)
    except Error as error:
        assert error.code == 2 and "k = 0" in str(error)
    else:
        raise AssertionError("k = 0 was accepted")
PYTHON
expect 0 "$python" threads.py "$examples"
