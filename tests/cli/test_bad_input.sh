#!/usr/bin/env bash
# What cannot be done is refused: the right exit code, one line that names file and value, no hang, and nothing left behind;
# on one rank and on three.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"

# refused CODE PATTERN... -- ARGUMENT...: a build that must fail so, and leave no index.
refused() {
    local code=$1 patterns=() np
    shift
    while [ "$1" != -- ]; do
        patterns+=("$1")
        shift
    done
    shift
    for np in 1 3; do
        expect "$code" ranks "$np" "$MPIVF" build index --quiet "$@"
        complains_of "${patterns[@]}"
        [ ! -e index ] || fail "$*: left behind: $(find index)"
    done
}

# build ARGUMENT...: one that must succeed.
build() {
    expect 0 ranks 1 "$MPIVF" build index --quiet "$@"
}

expect 0 "$MPIVF" generate --quiet --rows 600 --dim 16 --output good.fbin
expect 0 "$MPIVF" generate --quiet --rows 100 --dim 24 --output wide.fbin
expect 0 "$MPIVF" generate --quiet --rows 100 --dim 16 --type u8 --output bytes.u8bin
small=(--factory "IVF8,Flat")

# Files.
refused 3 'nowhere\.fbin' -- --input nowhere.fbin "${small[@]}"
refused 3 'nothing\*\.fbin' -- --input 'nothing*.fbin' "${small[@]}"
cp good.fbin good.xyz
refused 3 'good\.xyz' -- --input good.xyz "${small[@]}"
echo "this is not an array" >magic.npy
refused 3 'magic\.npy' -- --input magic.npy "${small[@]}"
echo "this is not HDF5" >magic.h5
refused 3 'magic\.h5' -- --input magic.h5 "${small[@]}"
head -c 5 good.fbin >stump.fbin
refused 3 'stump\.fbin' '5 bytes' -- --input stump.fbin "${small[@]}"
head -c 38308 good.fbin >cut.fbin
refused 3 'cut\.fbin' 38308 38408 -- --input cut.fbin "${small[@]}"
{ cat good.fbin; echo more; } >long.fbin
refused 3 'long\.fbin' 38413 38408 -- --input long.fbin "${small[@]}"
for row in $(seq 20); do
    u32 $((row == 14 ? 17 : 16))
    head -c 64 /dev/zero
done >mixed.fvecs
refused 3 'mixed\.fvecs' 'row 13' 17 -- --input mixed.fvecs "${small[@]}"
u32 10 0 >flat.fbin
refused 3 'flat\.fbin' 'd = 0' -- --input flat.fbin "${small[@]}"
u32 0 16 >empty.fbin
refused 3 'empty\.fbin' 'no rows' -- --input empty.fbin "${small[@]}"
build --input empty.fbin --input good.fbin --sample 500 "${small[@]}"
rm -r index
refused 3 'wide\.fbin' 16 24 -- --input good.fbin --input wide.fbin "${small[@]}"
refused 3 'bytes\.u8bin' 'u8' 'f32' -- --input good.fbin --input bytes.u8bin "${small[@]}"

# Rows. Row 123 holds NaN, row 456 an infinity, row 7 zeros.
cp good.fbin nan.fbin
printf '\x00\x00\xc0\x7f' | patch nan.fbin $((8 + 123 * 64 + 20))
printf '\x00\x00\x80\xff' | patch nan.fbin $((8 + 456 * 64))
refused 3 'row (123|456) of .*nan\.fbin' 'not finite' '--on-bad-row' -- --input nan.fbin "${small[@]}"
cp good.fbin zero.fbin
head -c 64 /dev/zero | patch zero.fbin $((8 + 7 * 64))
refused 3 'row 7 of .*zero\.fbin' 'zero norm' -- --input zero.fbin --metric cosine "${small[@]}"

# skipped REASON COUNT PATTERN ARGUMENT...: a build that goes on and accounts for the rows that it passed over.
skipped() {
    local reason=$1 count=$2 pattern=$3 np
    shift 3
    for np in 1 3; do
        expect 0 ranks "$np" "$MPIVF" build index --quiet --on-bad-row skip "${small[@]}" "$@"
        [ "$(grep -c '^mpivf: ' err)" -eq "$count" ] || fail "$*: not $count lines"
        [ "$(grep -cE "^mpivf: warning: skipped $pattern" err)" -eq "$count" ] || fail "$*: not listed"
        grep -qE "^  *\"$reason\": $count,?\$" index/manifests/000001.json || fail "$*: not counted"
        grep -qE "^ \"postings\": $((600 - count)),\$" index/manifests/000001.json || fail "$*: postings"
        expect 0 ranks "$np" "$MPIVF" verify index --quiet
        rm -rf index
    done
}
skipped not_finite 2 'row (123|456) of .*nan\.fbin: .*not finite' --input nan.fbin
skipped zero_norm 1 'row 7 of .*zero\.fbin: .*zero norm' --input zero.fbin --metric cosine
build "${small[@]}" --input zero.fbin
rm -rf index

# Shapes.
refused 3 600 1000 -- --input good.fbin --factory IVF1000,Flat
refused 3 PQ5 16 '(^|[^0-9])8([^0-9]|$)' -- --input good.fbin --factory IVF8,PQ5
refused 2 'IVF8,Falt' -- --input good.fbin --factory IVF8,Falt
refused 2 '--factroy' '--factory' -- --input good.fbin --factroy IVF8,Flat
refused 2 '--iterations' -- --input good.fbin --iterations 0
printf 'factory: IVF8,Flat\niteratoins: 5\n' >typo.yaml
refused 2 'typo\.yaml' iteratoins iterations -- --input good.fbin --config typo.yaml
refused 2 '--input' --

# Ways to the lists that a tree does not have.
refused 2 '--assign-probes' '--assign tree' -- --input good.fbin --assign-probes 3
refused 2 '--assign tree' '8 lists' '--levels 2' -- --input good.fbin --factory IVF8,Flat --assign tree
refused 2 '--levels 2' '8 lists' 64 -- --input good.fbin --factory IVF8,Flat --levels 2
refused 2 '--assign-probes' '2 numbers' '--levels 3' -- --input good.fbin --factory IVF64,Flat --levels 2 \
    --assign tree --assign-probes 3,4
refused 2 '--assign-probes' '1 numbers' '--levels 2' -- --input good.fbin --factory IVF64,Flat --levels 3 \
    --assign tree --assign-probes 3
refused 2 'SQfp16' 'rotated' -- --input good.fbin --factory OPQ4,IVF8,SQfp16
refused 3 'OPQ5' '16 values' -- --input good.fbin --factory OPQ5,IVF8,PQ4
refused 3 'OPQ8' 'at most 8192 values' 8200 -- --input good.fbin --factory OPQ8_8200,IVF8,PQ8
refused 2 '--assign-probes' '3 numbers' -- --input good.fbin --assign tree --assign-probes 3,4,5

# Fewer rows than ranks is no failure.
head -c $((8 + 2 * 64)) good.fbin >two.fbin
u32 2 | patch two.fbin 0
for np in 3 5; do
    expect 0 ranks "$np" "$MPIVF" build index --quiet --input two.fbin --factory IVF2,Flat
    grep -q '^ "postings": 2,$' index/manifests/000001.json || fail "two rows on $np ranks: postings"
    rm -rf index
done

# An index that exists stays as it is, or gets a new version.
sums() {
    find index -type f -print0 | sort -z | xargs -0 sha256sum
}
build --input good.fbin "${small[@]}"
sums >before.sums
for np in 1 3; do
    expect 4 ranks "$np" "$MPIVF" build index --quiet --input good.fbin "${small[@]}"
    complains_of 'index is an index already' '--replace'
    sums | cmp - before.sums || fail "an index that exists was changed"
    expect 3 ranks "$np" "$MPIVF" build index --quiet --replace --input nan.fbin "${small[@]}"
    complains_of 'nan\.fbin'
    sums | cmp - before.sums || fail "a failed replacement changed the index"
done
expect 0 ranks 3 "$MPIVF" build index --quiet --replace --input good.fbin "${small[@]}"
[ -s index/manifests/000002.json ] || fail "--replace made no second version"
rm -rf index
mkdir index
echo mine >index/notes.txt
expect 4 ranks 1 "$MPIVF" build index --quiet --replace --input good.fbin "${small[@]}"
complains_of 'notes\.txt'
[ "$(find index -mindepth 1)" = index/notes.txt ] || fail "somebody else's folder was touched"
rm -rf index

# Searching what is not there, or not alike.
build --input good.fbin "${small[@]}"
for np in 1 3; do
    expect 3 ranks "$np" "$MPIVF" search nowhere.index --quiet --queries good.fbin
    complains_of 'nowhere\.index'
    expect 3 ranks "$np" "$MPIVF" search index --quiet --queries wide.fbin
    complains_of 'wide\.fbin' 16 24
done
