#!/usr/bin/env bash
# Links that somebody has planted where an index's files will be are not followed: what they lead to stays as it is.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
build=("$MPIVF" build index --quiet --input "$photosift/base.u8bin" --factory "IVF16,SQ8" --fragment-rows 5000)
echo mine >victim
expect 0 "${build[@]}"
mapfile -t files < <(find index -type f | sort)
[ "${#files[@]}" -eq 4 ] || fail "4 files were expected: ${files[*]}"

# A file's own name: a link there is replaced, or refused, never written through; a dangling one makes no file elsewhere.
for target in "$PWD/victim" "$PWD/nowhere"; do
    for file in "${files[@]}" index/building/lock; do
        rm -rf index
        mkdir -p "$(dirname "$file")"
        ln -s "$target" "$file"
        code=0
        ranks 2 "${build[@]}" >out 2>err </dev/null || code=$?
        case $code in
        0) [ ! -L "$file" ] || fail "$file is still a link" ;;
        1 | 4) [ "$(grep -c '^mpivf: build: ' err)" -eq 1 ] || fail "not one line of error for $file" ;;
        *) fail "code $code with a link at $file" ;;
        esac
        [ "$(cat victim)" = mine ] || fail "the file behind the link $file was changed"
        [ ! -e nowhere ] || fail "a file was made behind the link $file"
    done
done

# Results, too, are made beside their name and renamed.
rm -rf index
expect 0 "${build[@]}"
ln -s "$PWD/victim" found.h5
expect 0 "$MPIVF" search index --queries "$photosift/query.u8bin" --output found.h5 --quiet
[ "$(cat victim)" = mine ] || fail "a result went through a link"

# What is written has the user's umask, whichever it is.
for mask in 077 002; do
    rm -rf index
    (umask "$mask" && expect 0 "${build[@]}")
    wrong=$(find index -type f ! -perm "$(printf %o $((0666 & ~0$mask)))" -o -type d ! -perm "$(printf %o $((0777 & ~0$mask)))")
    [ -z "$wrong" ] || fail "not the rights that umask $mask leaves: $wrong"
done
