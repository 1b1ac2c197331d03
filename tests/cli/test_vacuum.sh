#!/usr/bin/env bash
# vacuum: says what would go, removes it on demand, and never touches what a kept version or a running build needs.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"

expect 0 "$MPIVF" generate --quiet --rows 2000 --dim 16 --output rows.fbin
build=(--quiet --replace --input rows.fbin --factory "IVF8,SQ8" --sample 500 --fragment-rows 500)
for seed in 1 2 3; do
    expect 0 "$MPIVF" build index "${build[@]}" --seed "$seed"
done
files() {
    find index -mindepth 1 | sort
}
files >three
stays() { # stays NAME...
    local name
    for name in "$@"; do
        [ -e "index/$name" ] || [ -L "index/$name" ] || fail "$name is gone"
    done
}
goes() { # goes NAME...
    local name
    for name in "$@"; do
        if [ -e "index/$name" ] || [ -L "index/$name" ]; then fail "$name is still there"; fi
    done
}

# A look changes nothing; what goes is what only the oldest version names.
expect 0 ranks 2 "$MPIVF" vacuum index --json
json 'd["deleted"] is False and d["versions"] == 2 and d["unfinished_builds"] == 0 and len(d["items"]) == 6'
json 'd["items"][0]["path"] == "manifests/000001.json" and all(i["why"] == "of a version that is not kept" for i in d["items"])'
json 'd["bytes"] == sum(i["bytes"] for i in d["items"]) > 6 * 1000'
expect 0 "$MPIVF" vacuum index --keep 3
prints '^index: 0 B could be removed in 0 items; 3 versions and 0 unfinished builds stay$'
files | cmp - three || fail "a look changed something"
cp -a index spare
expect 0 "$MPIVF" vacuum index --keep 1 --delete
prints 'manifests/000002.json: of a version that is not kept$'
prints ' removed in 12 items; 1 version and 0 unfinished builds stay$'
[ "$(files | grep -c '\.')" -eq 6 ] || fail "not one version: $(files)"
expect 0 "$MPIVF" verify index --all-versions
expect 0 "$MPIVF" info index --json
json 'd["version"] == 3'

# What nobody names goes when it is old; what is not ours stays.
outside=$PWD/outside
mkdir outside
echo mine >outside/file
strays=(fragments/ffff-000000.h5 models/eeee.h5 fragments/ffff-000001.h5.0123456789abcdef.tmp
    manifests/000004.json.0123456789abcdef.tmp)
for name in "${strays[@]}" fragments/notes.txt; do
    echo stray >"index/$name"
done
ln -s "$outside/file" index/fragments/dddd.h5
expect 0 "$MPIVF" vacuum index --keep 1 --delete
stays "${strays[@]}" fragments/notes.txt fragments/dddd.h5
touch -h -d '8 days ago' "${strays[@]/#/index/}" index/fragments/notes.txt index/fragments/dddd.h5
expect 0 "$MPIVF" vacuum index --keep 1 --older-than 9d --delete
stays "${strays[@]}"
expect 0 "$MPIVF" vacuum index --keep 1 --delete --json
json 'sorted(set(i["why"] for i in d["items"])) == ["named by no version", "temporary, left by a run that was killed"]'
goes "${strays[@]}" fragments/dddd.h5
stays fragments/notes.txt
[ "$(cat outside/file)" = mine ] || fail "followed a link"
rm index/fragments/notes.txt
expect 0 "$MPIVF" verify index

# An unfinished build: young, running, given up.
spoil() {
    for row in 1990 1991 1992 1993 1994 1995 1996 1997 1998 1999; do
        cp rows.fbin spoilt.fbin
        printf '\x00\x00\xc0\x7f' | patch spoilt.fbin $((8 + row * 64))
        expect 3 "$MPIVF" build index "${build[@]}" --input spoilt.fbin --seed 9 --restart
        if [ -e index/building ]; then break; fi
    done
}
build=(--quiet --replace --factory "IVF8,SQ8" --sample 500 --fragment-rows 500)
files >before
spoil
unfinished=$(ls index/building)
files >with
expect 0 "$MPIVF" vacuum index --delete --json
json 'd["items"] == [] and d["unfinished_builds"] == 1'
exec 9<>"index/building/$unfinished/lock"
flock 9
expect 0 "$MPIVF" vacuum index --older-than 0 --delete --json
json 'd["items"] == [] and d["unfinished_builds"] == 1'
exec 9>&-
rm "index/building/$unfinished/lock"
files | cmp - with || fail "took something of a build that is young, or running"
expect 0 "$MPIVF" vacuum index --older-than 0 --json
json 'd["items"][-1]["path"].startswith("building/") and all(i["why"] == "of an unfinished build" for i in d["items"])'
files | cmp - with || fail "a look changed something"
expect 0 "$MPIVF" vacuum index --older-than 0 --delete
files | cmp - before || fail "an unfinished build leaves something: $(files)"
expect 0 "$MPIVF" verify index

# What cannot be judged is not touched.
rm -rf index
cp -a spare index
truncate -s 100 index/manifests/000003.json
expect 5 "$MPIVF" vacuum index --keep 1 --delete
complains_of '000003\.json' 'nothing is removed'
files | cmp - three || fail "removed files beside a damaged version"
rm -rf index
cp -a spare index
mv index/fragments elsewhere
ln -s "$PWD/elsewhere" index/fragments
before=$(find elsewhere | sort)
expect 4 "$MPIVF" vacuum index --keep 1 --delete
complains_of 'index/fragments is no folder but a link'
[ "$(find elsewhere | sort)" = "$before" ] || fail "followed a link"
expect 3 "$MPIVF" vacuum nowhere --delete
complains_of 'nowhere holds no index'
expect 3 "$MPIVF" vacuum outside --delete
[ ! -e outside/building ] || fail "made a folder where there is no index"

# Killed at any of its calls: the newest version is whole, and vacuum comes to its end the next time.
failio=$MPIVF_BUILD/tests/libmpivf_failio.so
if [ ! -e "$failio" ]; then
    echo "no library that kills"
    exit 0
fi
for call in 1 2 3 7 12 13; do
    rm -rf index
    cp -a spare index
    code=0
    LD_PRELOAD=$failio FAILIO="unlink,index/,$call,kill" "$MPIVF" vacuum index --keep 1 --delete >out 2>err || code=$?
    [ "$code" -eq 137 ] || fail "was not killed at call $call: $code"
    expect 0 "$MPIVF" verify index --quiet
    expect 0 "$MPIVF" info index --json
    json 'd["version"] == 3'
    expect 0 "$MPIVF" vacuum index --keep 1 --older-than 0 --delete
    [ "$(files | grep -c '\.')" -eq 6 ] || fail "not one version after call $call: $(files)"
    expect 0 "$MPIVF" verify index --all-versions
done
