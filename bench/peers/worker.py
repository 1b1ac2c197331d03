"""What every peer_*.py does: read the request, run the task, report."""
import json
import sys
import time


def main(tasks, version):
    """tasks: {name: function(request) -> dictionary}. The request is JSON on standard input, the report the last line of
    standard output."""
    request = json.load(sys.stdin)
    report = tasks[sys.argv[1]](request)
    print(json.dumps(dict(report, version=version)))


def timed(function, *arguments):
    started = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - started
