#!/usr/bin/env bash
# pgbox.sh start|stop DIR: a throw-away PostgreSQL that listens on a socket in DIR alone: psql -h DIR -U postgres. Exit code 77:
# there is none on this machine, or none that may be run.
set -euo pipefail
bin=$(find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | sort -V | tail -1)
if [ -z "$bin" ]; then bin=$(command -v initdb || true); fi
[ -n "$bin" ] && command -v psql >/dev/null || exit 77
bin=$(dirname "$bin")
mkdir -p "$2"
folder=$(cd "$2" && pwd)

# It refuses to run as root.
as() {
    if [ "$(id -u)" -ne 0 ]; then
        "$@"
    else
        setpriv --reuid postgres --regid postgres --clear-groups env HOME="$folder" "$@"
    fi
}

case $1 in
start)
    if [ "$(id -u)" -eq 0 ]; then
        id postgres >/dev/null 2>&1 || exit 77
        chown postgres "$folder"
    fi
    as "$bin/initdb" -D "$folder/data" -A trust -U postgres --no-sync >"$folder/initdb.log"
    as "$bin/pg_ctl" -D "$folder/data" -w -l "$folder/log" \
        -o "-c listen_addresses='' -c unix_socket_directories='$folder' -c fsync=off" start >/dev/null
    ;;
stop) as "$bin/pg_ctl" -D "$folder/data" -m immediate -w stop >/dev/null ;;
esac
