#!/usr/bin/env bash
# verify, as a user sees it: a byte changed anywhere in any file of an index is found, by any number of ranks, and its file is named.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
expect 0 "$MPIVF" build index --quiet --input "$photosift/base.u8bin" --factory IVF16,PQ16 --fragment-rows 4000
expect 0 "$MPIVF" build index --quiet --input "$photosift/base.u8bin" --factory IVF16,SQ8 --fragment-rows 4000 --replace
mapfile -t files < <(find index -type f -name '*.h5' | sort)
fragment=$(python3 -c 'import json; print(json.load(open("index/manifests/000002.json"))["fragments"][1]["id"])')

# flip FILE OFFSET: changes a bit there.
flip() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    printf '%b' "\\0$(printf %o $((byte ^ 16)))" | patch "$1" "$2"
}

seed=1
for file in "${files[@]}" "${files[@]}" index/manifests/000001.json index/manifests/000002.json; do
    seed=$((seed * 48271 % 2147483647))
    at=$((seed % $(stat -c %s "$file")))
    flip "$file" "$at"
    expect 5 ranks $((1 + seed % 3)) "$MPIVF" verify index --all-versions
    prints "^(fragment [0-9]: |model: |manifest: )$file: "
    prints ': damaged$'
    complains 'verify: index is damaged: 1 finding'
    flip "$file" "$at"
done
expect 0 ranks 2 "$MPIVF" verify index --all-versions --json
json 'd["sound"] and d["versions"] == 2 and d["files"] == 10 and d["postings"] == 20000'

# Without --all-versions the older one is not looked at.
flip index/manifests/000001.json 100
expect 0 "$MPIVF" verify index
prints '^version 2: 5 files, '
expect 5 "$MPIVF" verify index --all-versions
flip index/manifests/000001.json 100

# A newest version that cannot be read is told, and the one before it verified.
flip index/manifests/000002.json 100
expect 5 "$MPIVF" verify index
prints '^manifest: index/manifests/000002.json: '
prints '^version 1: '
flip index/manifests/000002.json 100

# The list is named.
flip "index/fragments/$fragment.h5" $(($(stat -c %s "index/fragments/$fragment.h5") / 2))
expect 5 "$MPIVF" verify index --json
json 'd["findings"][0].startswith("fragment 1: ") and "codes of list " in d["findings"][0]'
