#!/usr/bin/env bash
# slurmbox.sh: a Slurm of its own for tests, on the hosts of a netbox (netbox.sh): authentication and controller on "head", a
# node on each of h1 to hN. All its files lie below DIR, whose path should be short (sockets are among them). Takes root, and
# Slurm and Munge as packages install them. It ends with the hosts.
#     slurmbox.sh start DIR NETBOX N CPUS
#     slurmbox.sh run DIR COMMAND...     on head: sbatch, squeue, scontrol
set -euo pipefail
verb=${1:?start or run}
mkdir -p "${2:?DIR}"
box=$(cd "$2" && pwd)
shift 2
export SLURM_CONF=$box/slurm.conf

on() { # on HOST COMMAND...
    "$(dirname "$(readlink -f "$0")")/netbox.sh" exec "$(cat "$box/netbox")" "$@"
}

configure() { # configure NODES CPUS
    local node memory
    memory=$(awk '/MemTotal/ { print int($2 / 2048) }' /proc/meminfo)
    cat >"$SLURM_CONF" <<CONF
ClusterName=box
SlurmctldHost=head(10.77.0.250)
SlurmctldPort=26900
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$box/munge/socket
StateSaveLocation=$box/state
SlurmdSpoolDir=$box/spool.%n
TmpFS=$box/tmp.%n
SlurmctldPidFile=$box/controller.pid
SlurmdPidFile=$box/%n.pid
SlurmctldLogFile=$box/log/controller.log
SlurmdLogFile=$box/log/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=pmix
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0,batch_sched_delay=0
SlurmdParameters=config_overrides
SlurmdTimeout=10
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
KillWait=5
MinJobAge=3600
ReturnToService=2
PropagateResourceLimits=NONE
CONF
    for ((node = 1; node <= $1; node++)); do
        mkdir -p "$box/spool.h$node" "$box/tmp.h$node"
        echo "NodeName=h$node NodeAddr=10.77.0.$node Port=26901 CPUs=$2 RealMemory=$memory"
    done >>"$SLURM_CONF"
    echo "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP" >>"$SLURM_CONF"
    echo "# none" >"$box/cgroup.conf"
}

start() { # start NETBOX NODES CPUS
    local node tries
    mkdir -p "$box/state" "$box/log" "$box/munge"
    chmod 711 "$box" "$box/munge"
    (umask 077 && head -c 128 /dev/urandom >"$box/munge/key")
    (cd "$1" && pwd) >"$box/netbox"
    shift
    configure "$@"
    on head munged --force --key-file="$box/munge/key" --socket="$box/munge/socket" --pid-file="$box/munged.pid" \
        --log-file="$box/log/munged.log" --seed-file="$box/munge/seed" --num-threads=2
    on head slurmctld -c -f "$SLURM_CONF"
    for ((node = 1; node <= $1; node++)); do
        on "h$node" slurmd -N "h$node" -f "$SLURM_CONF"
    done
    for ((tries = 0; tries < 300; tries++)); do
        if [ "$(on head timeout 5 sinfo -h -N -p main -t idle -o %N 2>/dev/null | sort -u | wc -l)" -eq "$1" ]; then
            return
        fi
        sleep 0.1
    done
    echo "slurmbox.sh: the nodes are not idle after 30 s" >&2
    tail -n 5 "$box"/log/*.log >&2
    exit 1
}

case $verb in
start) start "$@" ;;
run) on head "$@" ;;
*)
    echo "slurmbox.sh: unknown: $verb" >&2
    exit 2
    ;;
esac
