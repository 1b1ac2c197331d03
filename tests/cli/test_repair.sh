#!/usr/bin/env bash
# repair, as a user sees it: what is damaged comes back to the byte on any number of ranks, and what cannot is said.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
cp "$photosift/base.u8bin" rows.u8bin
python3 -c 'import struct; open("ids", "wb").write(struct.pack("<10000q", *range(7, 20007, 2)))'
expect 0 "$MPIVF" build index --quiet --input rows.u8bin --ids ids --factory IVF16,SQ8 --fragment-rows 2000
cp -r index sound
mapfile -t fragments < <(find index/fragments -name '*.h5' | sort)

expect 0 "$MPIVF" repair index
prints '^version 1: no fragment is damaged$'

damage() {
    printf 'x' | patch "${fragments[1]}" 9000
    rm -f "${fragments[3]}"
}
for np in 1 3; do
    damage
    expect 0 ranks "$np" "$MPIVF" repair index --dry-run
    prints '^fragment 3: .* is missing, though the manifest names it$'
    prints '^version 1: 2 of 2 damaged fragments would be made again, '
    [ ! -e "${fragments[3]}" ] || fail "a dry run made a file"
    expect 0 ranks "$np" "$MPIVF" repair index --json
    json 'd["damaged"] == d["repaired"] == 2 and len(d["findings"]) == 4 and d["bytes"] > 500000'
    diff -r index sound || fail "the index is not what it was"
done

# The umask holds for what is put back.
damage
(umask 027 && expect 0 "$MPIVF" repair index)
[ "$(stat -c %a "${fragments[3]}")" = 640 ] || fail "not the umask's rights"

# It was built here, but that does not matter; nor does how the file of ids was named then.
damage
mkdir -p elsewhere
python3 -c 'import struct; open("elsewhere/ids", "wb").write(struct.pack("<10000q", *range(10000)))'
expect 0 "$MPIVF" build again --quiet --input rows.u8bin --ids "$PWD/ids" --factory IVF16,SQ8 --fragment-rows 2000
diff <(ls sound/fragments) <(ls again/fragments) || fail "another build, because of another way to name its ids"
(cd elsewhere && expect 0 ranks 2 "$MPIVF" repair ../index)
diff -r index sound || fail "the index is not what it was"

# The input was moved, and is not found without being told.
mkdir -p away && mv rows.u8bin ids away
damage
expect 3 "$MPIVF" repair index

grep -q rows.u8bin err || fail "the missing input is not named"
expect 0 ranks 2 "$MPIVF" repair index --input away/rows.u8bin --ids away/ids
diff -r index sound || fail "the index is not what it was"

# While it is at work nobody takes what it makes, and no second one begins; of one that was killed nothing stays.
failio=$MPIVF_BUILD/tests/libmpivf_failio.so
if [ -e "$failio" ] && ! ldd "$MPIVF" | grep -qE 'lib(a|t|ub)san'; then
    repair=("$MPIVF" repair index --input away/rows.u8bin --ids away/ids)
    damage
    LD_PRELOAD=$failio FAILIO_GATE=$PWD/gate FAILIO='rename,fragments/,1,wait' timeout 60 "${repair[@]}" >first.out 2>&1 &
    first=$!
    until compgen -G 'index/fragments/*.tmp' >found; do
        kill -0 "$first" || fail "the repair has ended: $(cat first.out)"
        sleep 0.05
    done
    expect 4 "$MPIVF" vacuum index --older-than 0 --delete
    complains_of 'index is being repaired, .* nothing is removed'
    expect 4 ranks 2 "${repair[@]}"
    grep -q 'index/building/.*-repair/lock is locked: .*; wait for it to end' err || fail "two repairs at a time"
    touch gate
    wait "$first" || fail "the repair was disturbed: $(cat first.out)"
    diff -r index sound || fail "the index is not what it was"
    damage
    LD_PRELOAD=$failio FAILIO='rename,fragments/,2,kill' expect 137 "${repair[@]}"
    expect 0 "$MPIVF" vacuum index --older-than 0 --delete
    expect 0 "${repair[@]}"
    diff -r index sound || fail "the index is not what it was"
fi

# Another input does not get in.
damage
printf 'x' | patch away/rows.u8bin $((8 + 128 * 7100))
expect 3 ranks 2 "$MPIVF" repair index --input away/rows.u8bin --ids away/ids
[ "$(grep -c 'warning: input .*/away/rows.u8bin is not what was indexed' err)" -eq 1 ] || fail "the changed input is not named"
prints '^fragment 1 \(rows 2000 to 3999\): repaired$'
prints '^fragment 3 \(rows 6000 to 7999\): not repaired: made again its checksum is '
grep -q 'give the files that were indexed with --input and --ids, or' err || fail "the file of ids is not thought of"
[ ! -e "${fragments[3]}" ] || fail "a wrong fragment was put in place"
[ -z "$(find index -name '*.tmp')" ] || fail "temporary files stayed"

printf 'x' | patch "$(find index/models -name '*.h5')" 5000
expect 5 "$MPIVF" repair index
grep -q 'the model of version 1 is damaged.*--replace' err || fail "no way out is named"
printf 'x' | patch index/manifests/000001.json 3
expect 5 "$MPIVF" repair index
