"""Running contenders: each in a process of its own, under a time limit, in alternation."""
import json
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


class Failed(Exception):
    """A contender that cannot take part; the text says why."""


def confine(threads):
    """This process and all that it starts keep to the first `threads` processors, so that no contender has more."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < threads:
        raise SystemExit(f"{threads} threads were asked for, {len(allowed)} processors are there")
    os.sched_setaffinity(0, allowed[:threads])


def reason(err, code):
    """mpivf's own line of error, else the last line of a traceback."""
    lines = err.strip().splitlines() or [f"exit code {code}"]
    return next((line for line in lines if line.startswith("mpivf: ") and ": warning: " not in line), lines[-1])


def run(command, limit, environment, text=None):
    """Standard output and wall seconds. The whole process group ends with the limit."""
    started = time.monotonic()
    process = subprocess.Popen(command, env=dict(os.environ, **environment), text=True, start_new_session=True,
                               stdin=subprocess.PIPE if text is not None else subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    try:
        out, err = process.communicate(text, timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise Failed(f"more than {limit:g} s") from None
    if process.returncode != 0:
        raise Failed(reason(err, process.returncode)[:200])
    return out, time.monotonic() - started


def peer(module, task, threads, limit, **arguments):
    """Runs `task` of peer_MODULE.py; returns what it reports (a dictionary with "seconds")."""
    environment = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive", "OPENBLAS_NUM_THREADS": str(threads),
                   "RAYON_NUM_THREADS": str(threads), "LANCE_CPU_THREADS": str(threads), "TOKIO_WORKER_THREADS": str(threads)}
    request = json.dumps(dict(arguments, threads=threads))
    out, _ = run([sys.executable, os.path.join(HERE, f"peer_{module}.py"), task], limit, environment, request)
    return json.loads(out.splitlines()[-1])


def mpivf(command, ranks, limit):
    """mpivf under mpirun, one thread a rank."""
    environment = {"OMP_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return run(["mpirun", "-n", str(ranks), "--bind-to", "none", "--oversubscribe"] + command, limit, environment)


def alternate(contenders, settings, say):
    """contenders: {name: function of the repetition's number}. Each is run once per round, round after round, so that
    whatever else the machine does falls on all of them alike; one that takes longer than a sixth of the limit is run once.
    Returns {name: [results]}, none of one that failed; and why those failed."""
    results = {name: [] for name in contenders}
    failed, slow = {}, set()
    for repetition in range(settings.repetitions):
        for name, function in contenders.items():
            if name in failed or name in slow:
                continue
            started = time.monotonic()
            try:
                results[name].append(function(repetition))
                if time.monotonic() - started > settings.limit / 6:
                    slow.add(name)
            except Failed as failure:
                failed[name] = str(failure)
                results[name] = []
                say(f"  {name}: skipped: {failure}")
    return results, failed
