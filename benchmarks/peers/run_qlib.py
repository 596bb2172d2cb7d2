"""Runs in qlib's own environment: one of its handlers on a qlib folder, raw, into Parquet.

    python run_qlib.py FOLDER alpha158|alpha360 OUT.parquet

Prints one line of JSON: seconds of CPU and of wall time for building the handler, and the versions.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import qlib
from qlib.contrib.data.handler import Alpha158, Alpha360

HANDLERS = {"alpha158": Alpha158, "alpha360": Alpha360}


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its finished children."""
    child = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + child.ru_utime + child.ru_stime


def main(folder: str, name: str, out: str) -> None:
    qlib.init(provider_uri=folder, region="cn", kernels=1, expression_cache=None, dataset_cache=None, logging_level=30)
    days = Path(folder, "calendars", "day.txt").read_text().split()
    cpu, wall = cpu_seconds(), time.perf_counter()
    handler = HANDLERS[name](
        instruments="all",
        start_time=days[0],
        end_time=days[-1],
        infer_processors=[],
        learn_processors=[],
        label=(["$close"], ["CLOSE"]),  # a handler must have one: the cheapest
    )
    frame = handler.fetch(col_set="feature")
    cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
    frame.reset_index().rename(columns={"datetime": "date", "instrument": "symbol"}).to_parquet(out, index=False)
    print(
        json.dumps(
            {
                "cpu_s": cpu,
                "wall_s": wall,
                "rows": len(frame),
                "versions": {"qlib": qlib.__version__, "pandas": pd.__version__, "numpy": np.__version__},
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:4])
