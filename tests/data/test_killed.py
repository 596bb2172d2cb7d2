"""A write that is killed leaves the old table or the new one, never a mixture."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from stores import bars

from alphaloom.data.store import Store

WRITER = """
import sys
import polars as pl
from alphaloom.data.store import Store
store = Store(sys.argv[1])
frame = pl.read_parquet(sys.argv[2])
k = 0
print("ready", flush=True)
while True:
    k += 1
    store.write("bars", frame.with_columns(pl.lit(float(k)).alias("volume")), mode="replace")
"""


@pytest.mark.slow
def test_a_killed_write_leaves_a_whole_table(tmp_path: Path) -> None:
    """Whenever the process dies, the store opens and every row carries the mark of one and the same write."""
    store = Store.create(tmp_path / "s")
    frame = bars(60, start="2019-11-20")
    store.write("bars", frame)
    frame.write_parquet(tmp_path / "frame.parquet")
    rng = random.Random(0)
    for _ in range(6):
        command = [sys.executable, "-c", WRITER, str(store.path), str(tmp_path / "frame.parquet")]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(rng.uniform(0.05, 0.3))
            process.send_signal(signal.SIGKILL)
        back = Store(store.path).read("bars")
        assert back.height == frame.height
        assert back["volume"].n_unique() == 1 or back["volume"].equals(frame["volume"].cast(pl.Float32))
