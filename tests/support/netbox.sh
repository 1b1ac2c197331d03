#!/usr/bin/env bash
# netbox.sh: several hosts on this one machine, for tests of what a cut cable or a lost host does. Each has network, host name,
# processes, shared memory and mounts of its own; a bridge joins them. Takes root and iproute2; writes nothing outside DIR.
#     netbox.sh start DIR N          hosts head and h1 to hN; DIR/hostfile and DIR/agent are for mpirun
#     netbox.sh exec DIR HOST COMMAND...
#     netbox.sh cut|heal DIR HOST    pulls or plugs its network cable
#     netbox.sh kill DIR HOST        all its processes end at once
#     netbox.sh alive DIR HOST       how many processes it has beside the one that keeps it
#     netbox.sh stop DIR
set -euo pipefail
self=$(readlink -f "$0")
verb=${1:?start, exec, cut, heal, kill, alive or stop}
mkdir -p "${2:?DIR}"
box=$(cd "$2" && pwd)
shift 2

# keep NAME [pids]: a process that keeps a fresh set of namespaces (with "pids" also one of processes).
keep() {
    local name=$1 own=() tries child
    if [ "${2:-}" = pids ]; then
        own=(--pid --mount-proc)
    fi
    # shellcheck disable=SC2016 # expands inside
    unshare --net --uts --ipc --mount --fork --kill-child --propagation private "${own[@]}" bash -c '
        hostname "$1"
        mount -t tmpfs shm /dev/shm
        [ ! -e "$2/hosts" ] || mount --bind "$2/hosts" /etc/hosts
        ip link set lo up
        : >"$2/$1.up"
        trap : TERM INT
        while :; do
            sleep 3600 &
            wait $!
        done' keep "$name" "$box" </dev/null >/dev/null 2>&1 &
    for ((tries = 0; tries < 500; tries++)); do
        [ ! -e "$box/$name.up" ] || break
        sleep 0.02
    done
    rm "$box/$name.up"
    # The file has no end of line, which read takes for a failure.
    read -r child <"/proc/$!/task/$!/children" || [ -n "$child" ]
    echo "$child" >"$box/$name.pid"
}

# within HOST COMMAND...: in its network alone.
within() {
    local host=$1
    shift
    nsenter -t "$(cat "$box/$host.pid")" -n -- "$@"
}

plug() { # plug HOST ADDRESS
    within switch ip link add "$1" type veth peer name eth0 netns "$(cat "$box/$1.pid")"
    within switch ip link set "$1" master bridge up
    within "$1" ip addr add "10.77.0.$2/24" dev eth0
    within "$1" ip link set eth0 up
}

start() {
    local count=$1 i
    echo "127.0.0.1 localhost" >"$box/hosts"
    echo "10.77.0.250 head" >>"$box/hosts"
    : >"$box/hostfile"
    for ((i = 1; i <= count; i++)); do
        echo "10.77.0.$i h$i" >>"$box/hosts"
        echo "h$i slots=2" >>"$box/hostfile"
    done
    # mpirun calls it in the place of ssh: agent HOST COMMAND...
    # shellcheck disable=SC2016 # expands inside
    printf '#!/bin/bash\nhost=$1\nshift\nexec "%s" exec "%s" "$host" bash -c "$*"\n' "$self" "$box" >"$box/agent"
    chmod +x "$box/agent"
    keep switch
    within switch ip link add bridge type bridge
    within switch ip link set bridge up
    mkdir -p "$box/head"
    keep head
    plug head 250
    for ((i = 1; i <= count; i++)); do
        mkdir -p "$box/h$i"
        keep "h$i" pids
        plug "h$i" "$i"
    done
}

case $verb in
start) start "$1" ;;
exec)
    host=$1
    shift
    spaces=(-n -u -i -m)
    [ "$host" = head ] || spaces+=(-p)
    TMPDIR="$box/$host" exec nsenter -t "$(cat "$box/$host.pid")" "${spaces[@]}" --wd="$PWD" -- "$@"
    ;;
cut) within switch ip link set "$1" down ;;
heal) within switch ip link set "$1" up ;;
kill)
    kill -9 "$(cat "$box/$1.pid")"
    rm "$box/$1.pid"
    ;;
alive) # all that its /proc shows, but for the keeper, its sleep, and who looks
    [ -s "$box/$1.pid" ] || { echo 0; exit 0; }
    # shellcheck disable=SC2016 # expands inside
    "$self" exec "$box" "$1" bash -c 'set -- /proc/[0-9]*; echo $(($# - 3))'
    ;;
stop)
    for file in "$box"/*.pid; do
        [ ! -s "$file" ] || kill -9 "$(cat "$file")" 2>/dev/null || true
        rm -f "$file"
    done
    ;;
*)
    echo "netbox.sh: unknown: $verb" >&2
    exit 2
    ;;
esac
