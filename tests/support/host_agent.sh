#!/usr/bin/env bash
# host_agent.sh HOST COMMAND...: stands in for ssh where mpirun starts its daemons: runs the command on this machine under
# another host's name, so that Open MPI believes in several hosts and talks over TCP. Takes root.
host=$1
shift
# shellcheck disable=SC2016 # expands inside
exec unshare -u bash -c 'hostname "$1"; shift; exec bash -c "$*"' _ "$host" "$@"
