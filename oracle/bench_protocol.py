"""How a benchmark's script talks to `bench/src/subjects/python.ts`: JSON, a line each.

It says `{}` when it is ready, then answers every line it reads, `sample` or `details`, until its input ends. Options come
as the one argument of the command line.
"""

import json
import sys
import time
from collections.abc import Callable


def options() -> dict:
    return json.loads(sys.argv[1])


def serve(sample: Callable[[], dict], details: Callable[[], dict]) -> None:
    answers = {"sample": sample, "details": details}
    print("{}", flush=True)
    for line in sys.stdin:
        print(json.dumps(answers[line.strip()]()), flush=True)


def mean_milliseconds(run: Callable[[], object], milliseconds: float) -> float:
    """Of a run, over runs of about `milliseconds` together; at least one."""
    start = time.perf_counter()
    repetitions = 0
    while True:
        run()
        repetitions += 1
        elapsed = (time.perf_counter() - start) * 1000
        if elapsed >= milliseconds:
            return elapsed / repetitions
