#!/usr/bin/env bash
# Ranks on several hosts, between which there is no shared memory: the same bytes as on one, and one line for a failure.
# Open MPI takes other components there than on one host (Debian's settings leave none for windows: comm/settings.c).
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
if [ "$(id -u)" -ne 0 ] || ! unshare -u true 2>/dev/null; then
    echo "host names of one's own take root"
    exit 77
fi

# on_hosts COMMAND...: two ranks on each of two hosts.
on_hosts() {
    timeout -k 5 60 mpirun --mca plm_rsh_agent "$MPIVF_SOURCE/tests/support/host_agent.sh" -H first:2,second:2 -n 4 \
        --bind-to none "$@"
}

expect 0 on_hosts bash -c hostname
[ "$(sort -u out | tr '\n' ' ')" = "first second " ] || fail "no two hosts"

build=(build --quiet --input "$photosift/base.u8bin" --factory "IVF64,SQ8" --fragment-rows 777)
expect 0 ranks 1 "$MPIVF" "${build[@]}" one
expect 0 on_hosts "$MPIVF" "${build[@]}" many
(cd one && sha256sum models/* fragments/*) >one.sums
(cd many && sha256sum models/* fragments/*) | cmp - one.sums || fail "other bytes than on one host"
expect 0 on_hosts "$MPIVF" verify many --quiet

search=(search --quiet --queries "$photosift/query.u8bin" --k 10 --nprobe 8)
expect 0 ranks 1 "$MPIVF" "${search[@]}" one --output one.bin
expect 0 on_hosts "$MPIVF" "${search[@]}" many --output many.bin
same one.bin many.bin

expect 3 on_hosts "$MPIVF" "${build[@]}" --input missing.fbin bad
complains_of 'missing\.fbin'
[ ! -e bad ] || fail "left behind: $(find bad)"
