#!/usr/bin/env bash
# Three hosts, a rank on each, that talk over a network of their own. A cable is cut, or a host lost, while the build trains or
# assigns: the job ends by itself, no process of it goes on anywhere, the old version answers, and the same command ends as
# it should on the ranks of this one machine.
# shellcheck disable=SC2317 # attempt calls them
# shellcheck source=../support/faults.sh
source "$MPIVF_SOURCE/tests/support/faults.sh"
[ "$faults_apart" = yes ] || { echo "hosts of one's own take root"; exit 77; }
need_failio
netbox=$MPIVF_SOURCE/tests/support/netbox.sh
trap '"$netbox" stop nb' EXIT
if ! command -v ip >/dev/null || ! "$netbox" start nb 3 >netbox.log 2>&1; then
    echo "no networks of one's own: $(cat netbox.log)"
    exit 77
fi
"$netbox" stop nb
set_scene --factory IVF64,PQ16 --fragment-rows 500 --quiet
bound=60
: >ledger

# on_hosts COMMAND...: with the settings that README.md gives to mpirun.
on_hosts() {
    timeout -k 5 "$limit" "$netbox" exec nb head mpirun --hostfile nb/hostfile --mca plm_rsh_agent "$PWD/nb/agent" \
        --mca oob_tcp_keepalive_time 3 --mca oob_tcp_keepalive_intvl 1 --mca oob_tcp_keepalive_probes 3 \
        --mca btl_tcp_if_include eth0 --mca oob_tcp_if_include eth0 --map-by node -n 3 --bind-to none "$@"
}

# reached PHASE: whether the build is there.
reached() {
    case $1 in
    train) [ -e "$index/building" ] ;;
    assign) [ "$(find "$index/fragments" -name '*.h5' | wc -l)" -gt "$old_fragments" ] ;;
    esac
}

# nobody_left HOST...: none of the hosts has a process of the job within the bound.
nobody_left() {
    local host tries=0
    for host; do
        while [ "$("$netbox" alive nb "$host")" -ne 0 ]; do
            tries=$((tries + 1))
            [ "$tries" -le "$bound" ] || fail "$host still runs the job's processes $bound s after the job's end"
            sleep 1
        done
    done
}

# broken PHASE WHAT HOST MICROSECONDS
broken() {
    local phase=$1 what=$2 host=$3 job code=0 began
    reset_scene
    rm -rf nb
    "$netbox" start nb 3 >netbox.log 2>&1
    on_hosts env LD_PRELOAD="$failio" FAILIO="sync,$index/fragments,1+,500" "${build[@]}" >run.out 2>run.err </dev/null &
    job=$!
    until reached "$phase"; do
        kill -0 "$job" 2>/dev/null || fail "the build did not get to $phase: $(cat run.err)"
        sleep 0.02
    done
    sleep "0.$(printf '%06d' "$4")"
    began=$(microseconds)
    "$netbox" "$what" nb "$host"
    wait "$job" || code=$?
    [ "$code" -ne 124 ] || fail "hangs"
    [ "$code" -ne 0 ] || fail "ends as if nothing had happened"
    echo "$what in $phase: ended after $((($(microseconds) - began) / 1000)) ms" >>ledger
    [ $(($(microseconds) - began)) -le $((bound * 1000000)) ] || fail "ends only after $(tail -n 1 ledger)"
    nobody_left h1 h2 h3
    "$netbox" stop nb
    old_answers
    complete
}

old_fragments=$(find old/fragments -name '*.h5' | wc -l)
rounds=1
if [ "$form" = long ]; then
    rounds=5
fi
for ((round = 0; round < rounds; round++)); do
    for phase in train assign; do
        for what in cut kill; do
            for host in h1 h2 h3; do
                if [ "$form" = short ] && [ "$phase $what $host" != "train cut h2" ] &&
                    [ "$phase $what $host" != "assign kill h3" ]; then
                    continue
                fi
                below 400000
                attempt "$phase-$what-$host-$round" broken "$phase" "$what" "$host" "$drawn"
            done
        done
    done
done
sort ledger
conclude "$(wc -l <ledger) cables and hosts lost"
