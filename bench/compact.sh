#!/usr/bin/env bash
# compact.sh INDEX QUERIES [RANKS [TIMES]]: compacts an index, and copies its fragments with cp, in turns; both are durable. Then
# searches with a tenth of the index for memory, before and after, with its files in memory (warm) and not (cold): MB/s of lists
# read, beside what reading the whole files gives, and the peak of memory. Needs GNU time and room for three copies.
set -euo pipefail
: "${MPIVF:?the program}"
index=$1 queries=$2 ranks=${3:-1} times=${4:-3}
folder=$(mktemp -d "$(dirname "$index")/compact.XXXXXX")
trap 'rm -rf "$folder"' EXIT
now() { date +%s.%N; }
run=(mpirun -n "$ranks" --bind-to none)
[ "$ranks" -gt 1 ] || run=()
bytes=$(du -sb "$index/fragments" | cut -f 1)

# cold FOLDER: has the system forget what it holds of its files, which are durable.
cold() {
    python3 -c '
import os, sys
for path in sys.argv[1:]:
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)' "$1"/fragments/*
}
megabytes() { awk -v bytes="$1" -v a="$2" -v b="$3" 'BEGIN { printf "%.2f s, %.0f MB/s", b - a, bytes / (b - a) / 1e6 }'; }

compact() {
    rm -rf "${folder:?}/$1"
    cp -rl "$index" "$folder/$1"
    sync
    "${run[@]}" /usr/bin/time -a -o "$folder/memory" -f %M "$MPIVF" compact "$folder/$1" "${@:2}" --quiet --json >"$folder/json"
    took=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["seconds"])' "$folder/json")
    echo "compact ${*:2}: $(megabytes "$bytes" 0 "$took"), $(awk -v a="$copied" -v b="$took" 'BEGIN { printf "%.0f", 100 * a / b }') % of cp; peak $(($(sort -n "$folder/memory" | tail -1) / 1024)) MiB a rank"
    rm "$folder/memory"
}
for ((i = 0; i < times; i++)); do
    rm -rf "$folder/copy"
    sync
    begun=$(now)
    cp -r "$index/fragments" "$folder/copy"
    sync "$folder/copy"/*
    ended=$(now)
    copied=$(awk -v a="$begun" -v b="$ended" 'BEGIN { print b - a }')
    echo "cp: $(megabytes "$bytes" "$begun" "$ended")"
    compact many
    compact one --single-file
done
rm -rf "$folder/copy"
"$MPIVF" vacuum "$folder/many" --keep 1 --older-than 0 --delete --quiet >/dev/null

# search NAME: one search of the index of that name, a tenth of it in memory; mpivf tells what it read.
search() {
    /usr/bin/time -o "$folder/memory" -f %M "$MPIVF" search "$1" --queries "$queries" --nprobe 16 --memory $((bytes / 10)) --json \
        --output "$folder/found.ibin" --quiet >"$folder/json"
    python3 -c '
import json, sys
d, peak = json.load(open(sys.argv[1])), int(open(sys.argv[2]).read()) / 1024
print("%.2f s, %.0f queries/s, %.0f MB of lists at %.0f MB/s, peak %.0f MiB" % (d["seconds"], d["queries"] / d["seconds"],
      d["bytes_read"] / 1e6, d["bytes_read"] / d["seconds"] / 1e6, peak))' "$folder/json" "$folder/memory"
}
"$MPIVF" search "$index" --queries "$queries" --nprobe 16 --output "$folder/expected.ibin" --quiet >/dev/null
for ((i = 0; i < times; i++)); do
    for which in "$index" "$folder/many"; do
        for state in cold warm; do
            [ "$state" = warm ] || cold "$which"
            begun=$(now)
            cat "$which"/fragments/* >/dev/null
            ended=$(now)
            echo "reading ${which##*/}, $state: $(megabytes "$bytes" "$begun" "$ended")"
            [ "$state" = warm ] || cold "$which"
            echo "search ${which##*/}, $state: $(search "$which")"
            cmp "$folder/expected.ibin" "$folder/found.ibin"
        done
    done
done
