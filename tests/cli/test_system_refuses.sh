#!/usr/bin/env bash
# The system says no (no room on the disk, no right to read or write): exit code 1, one line that names the file, no hang,
# no index and no temporary file left; what was done is kept, if it is worth it, and continued when there is room.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"

is_empty() {
    [ -z "$(find "$1" -mindepth 1 -print -quit)" ] || fail "left behind: $(find "$1")"
}

expect 0 "$MPIVF" generate --quiet --rows 4000 --dim 64 --output rows.fbin
build=(--quiet --input "$PWD/rows.fbin" --factory "IVF8,Flat" --fragment-rows 500)

# A limit on the size of files, as a quota would be: each fragment has 132 KB. It holds for the ranks alone, which talk
# without files in /dev/shm.
mkdir quota
for np in 1 3; do
    expect 1 env OMPI_MCA_btl=self,tcp timeout -k 5 60 mpirun -n "$np" --bind-to none \
        bash -c 'ulimit -f 64; exec "$@"' limited "$MPIVF" build quota/index "${build[@]}"
    complains_of 'quota/index/(fragments|models)/' '[Ff]ile too large'
    is_empty quota
done

# A full disk, where a small one can be mounted: the model fits, the fragments do not, until it is enlarged.
mkdir disk
on_full_disk() { # on_full_disk NP
    # shellcheck disable=SC2016 # expands inside
    unshare -m bash -c '
        mount -t tmpfs -o size=400k none disk
        code=0
        timeout -k 5 60 mpirun -n "$1" --bind-to none "$MPIVF" build disk/index "${@:2}" || code=$?
        find disk -name "*.tmp" -o -name manifests -not -empty -o -name lock >left.txt
        mount -o remount,size=4m disk
        mpirun -n 2 --bind-to none "$MPIVF" build disk/index "${@:3}" >/dev/null 2>again.err &&
            "$MPIVF" verify disk/index --json >verified.json
        find disk/index/building >>left.txt 2>/dev/null
        exit "$code"' full "$1" "${build[@]}"
}
if [ "$(id -u)" -eq 0 ] && unshare -m mount -t tmpfs -o size=400k none disk 2>/dev/null; then
    for np in 1 3; do
        expect 1 on_full_disk "$np"
        complains_of 'disk/index/fragments/' '[Nn]o space left'
        [ ! -s left.txt ] || fail "left behind: $(cat left.txt)"
        grep -q 'index keeps what was done: the model, [0-7] of 8 fragments' err || fail "nothing is kept"
        grep -q 'resuming: model kept, [0-7] of 8 fragments done' again.err || fail "not continued: $(cat again.err)"
        grep -q '"postings": *4000' verified.json || fail "not the whole index: $(cat verified.json)"
    done
else
    echo "no full disk: mounting one takes root"
fi

# No rights. Root has them all, so root becomes nobody.
as=()
if [ "$(id -u)" -eq 0 ]; then
    as=(setpriv --reuid=65534 --regid=65534 --clear-groups env -u HOME)
fi
if ! "${as[@]}" test -x "$MPIVF" -a -r "$PWD/rows.fbin"; then
    echo "no rights to take away: nobody cannot reach $MPIVF"
    exit 0
fi
mkdir locked
chmod 555 locked
cp rows.fbin secret.fbin
chmod 000 secret.fbin
mkdir -m 777 open
expect 0 "$MPIVF" build index "${build[@]}"
chmod 555 index/manifests
for np in 1 3; do
    expect 1 timeout -k 5 60 "${as[@]}" mpirun -n "$np" --bind-to none "$MPIVF" tune index --nprobe 1
    complains_of 'index/manifests: no version can be committed: [Pp]ermission denied'
    expect 1 timeout -k 5 60 "${as[@]}" mpirun -n "$np" --bind-to none "$MPIVF" exact --input rows.fbin --queries rows.fbin \
        --output locked/truth.bin
    complains_of '--output locked/truth.bin: no file can be made in the folder locked: [Pp]ermission denied'
    expect 1 timeout -k 5 60 "${as[@]}" mpirun -n "$np" --bind-to none "$MPIVF" build locked/index "${build[@]}"
    complains_of locked '[Pp]ermission denied'
    is_empty locked
    expect 3 timeout -k 5 60 "${as[@]}" mpirun -n "$np" --bind-to none "$MPIVF" build open/index --quiet \
        --input "$PWD/secret.fbin" --factory IVF8,Flat
    complains_of 'secret\.fbin' '[Pp]ermission denied'
    is_empty open
done
