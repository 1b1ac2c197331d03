#!/usr/bin/env bash
# What would harm what is read, or hang, is refused before any work.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"

expect 0 "$MPIVF" generate --quiet --output base.fbin --rows 500 --dim 8 --clusters 4
before=$(sha256sum <base.fbin)
expect 2 "$MPIVF" exact --input base.fbin --queries base.fbin --k 1 --output base.ibin
complains "exact: --output base.ibin would replace base.fbin, which is read; choose another name"
expect 2 ranks 3 "$MPIVF" exact --input base.fbin --queries base.fbin --k 1 --output none/here.h5
complains_of "there is no folder none"
expect 0 "$MPIVF" build index --quiet --input base.fbin --factory IVF4,Flat
expect 2 "$MPIVF" search index --queries base.fbin --output ./base.ibin
complains_of "would replace base.fbin"
expect 2 "$MPIVF" generate --output g.fbin --rows 10 --dim 4 --queries 5 --queries-output g.fbin
complains_of "both g.fbin"
mkdir there
expect 2 "$MPIVF" generate --output there/g.fbin --rows 10 --dim 4 --queries 5 --queries-output there/../there/g.fbin
complains_of "both there/g.fbin"
expect 2 ranks 2 "$MPIVF" generate --output there/g.fbin --rows 10 --dim 4 --queries 5 --queries-output none/q.fbin
complains_of "--queries-output none/q.fbin: there is no folder none"
[ -z "$(ls there)" ] || fail "something was written"
# Files that are named by their folder, a pattern or a list are read, too.
cp base.fbin there/
echo there/base.fbin >list
for input in there 'there/*.fbin' @list; do
    expect 2 ranks 2 "$MPIVF" exact --input "$input" --queries base.fbin --k 1 --output there/base.ibin
    complains_of "would replace /.*/there/base.fbin"
done
expect 0 "$MPIVF" exact --input there --queries base.fbin --k 1 --output there/other.ibin
expect 3 "$MPIVF" exact --input missing --queries base.fbin --k 1 --output there/other.ibin
complains_of missing
# What results could not go to, though the work would be done: a folder, and a file of 32 bits beside a larger id.
mkdir there/folder.h5 there/folder.ids.npy
expect 2 "$MPIVF" exact --input base.fbin --queries base.fbin --k 1 --output there/folder.h5
complains "exact: --output there/folder.h5 is a folder; name a file"
expect 2 ranks 2 "$MPIVF" search index --queries base.fbin --output there/folder.npy
complains_of "there/folder.ids.npy is a folder"
python3 -c 'import struct; open("ids.bin", "wb").write(struct.pack("<500q", *range(499), 1 << 40))'
expect 0 "$MPIVF" generate --quiet --output one.fbin --rows 1 --dim 8 --clusters 1
for np in 1 3; do
    for name in far.bin far.ibin; do
        expect 3 ranks "$np" "$MPIVF" exact --input base.fbin --ids ids.bin --queries one.fbin --k 1 --output "$name"
        complains_of "$name: the id 1099511627776 is more than the format's 32 bits hold; write .h5 or .npy"
    done
    expect 0 ranks "$np" "$MPIVF" exact --input base.fbin --ids ids.bin --queries one.fbin --k 1 --output far.h5
done
same base.fbin there/base.fbin
[ "$(sha256sum <base.fbin)" = "$before" ] || fail "base.fbin was changed"
if [ -e base.ibin ] || [ -e g.fbin ]; then fail "something was written"; fi

# Options that could not act.
head -c 4000 /dev/zero >ids.bin
expect 2 "$MPIVF" build other --input base.fbin --ids ids.bin --ids-dataset numbers
complains "build: --ids-dataset numbers has no effect: ids.bin is no HDF5 file"
expect 2 "$MPIVF" build other --input base.fbin --threads 1025
complains_of "out of range"
expect 0 "$MPIVF" verify index --verbose
grep -q 'debug: 1 rank, .* kernels' err || fail "--verbose says nothing more"

# More letters than arguments.
expect 2 "$MPIVF" verify index -"$(printf 'v%.0s' {1..3000})"

# Ranks that were started differently, before any of them has its configuration.
echo 'k: 5' >c.yml
search=(search index --queries base.fbin)
expect 2 timeout 60 mpirun -n 1 "$MPIVF" "${search[@]}" --config c.yml : -n 1 "$MPIVF" "${search[@]}"
complains_of "started with different options"
expect 2 timeout 60 mpirun -n 1 "$MPIVF" "${search[@]}" --print-config : -n 1 "$MPIVF" "${search[@]}"
complains_of "started with different options"
