#!/usr/bin/env bash
# export.sh INDEX [RANKS [TIMES]]: exports an index to FAISS and copies as many bytes with cp, in turns; both then make the copy
# durable. Prints seconds, MB/s and the peak of memory of each rank. Needs GNU time and room for two copies.
set -euo pipefail
: "${MPIVF:?the program}"
index=$1
ranks=${2:-4}
times=${3:-3}
folder=$(mktemp -d "$(dirname "$index")/export.XXXXXX")
trap 'rm -rf "$folder"' EXIT
now() { date +%s.%N; }

mpirun -n "$ranks" --bind-to none "$MPIVF" export "$index" --quiet --output "$folder/first" >/dev/null
bytes=$(stat -c %s "$folder/first")
for ((i = 0; i < times; i++)); do
    rm -f "$folder/copy" "$folder/export" "$folder/memory"
    started=$(now)
    cp "$folder/first" "$folder/copy"
    copied=$(now)
    sync "$folder/copy"
    durable=$(now)
    rm "$folder/copy"
    begun=$(now)
    mpirun -n "$ranks" --bind-to none /usr/bin/time -a -o "$folder/memory" -f %M "$MPIVF" export "$index" --quiet --output "$folder/export" \
        >/dev/null
    exported=$(now)
    awk -v bytes="$bytes" -v a="$started" -v b="$copied" -v c="$durable" -v d="$begun" -v e="$exported" '
        { if ($1 > most) most = $1 }
        END { printf "cp %.2f s, durable %.2f s (%.0f MB/s); export %.2f s (%.0f MB/s), %.0f %% of the durable cp; peak %.0f MiB a rank\n",
              b - a, c - a, bytes / (c - a) / 1e6, e - d, bytes / (e - d) / 1e6, 100 * (c - a) / (e - d), most / 1024 }' "$folder/memory"
done
