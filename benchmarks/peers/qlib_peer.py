"""qlib in its own environment: builds the environment, writes a qlib folder, runs a handler on it."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

HERE = Path(__file__).parent
VENV = HERE / ".venv"
REQUIREMENTS = HERE / "qlib_requirements.txt"
BARS = ("open", "high", "low", "close", "volume", "vwap")


def qlib_python() -> Path:
    """Return the interpreter of qlib's environment, made first if there is none or its requirements changed."""
    python = VENV / "bin" / "python"
    stamp = VENV / "requirements.txt"
    wanted = REQUIREMENTS.read_text()
    if not python.exists() or not stamp.exists() or stamp.read_text() != wanted:
        print("building the environment of qlib (minutes, once) ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(REQUIREMENTS)], check=True)
        stamp.write_text(wanted)
    return python


def write_folder(
    folder: Path, dates: np.ndarray, symbols: np.ndarray, bars: dict[str, np.ndarray], listed: np.ndarray
) -> None:
    """Write a qlib binary folder of bars `[T, N]`, each stock from its first to its last listed row."""
    (folder / "calendars").mkdir(parents=True)
    (folder / "instruments").mkdir()
    (folder / "calendars" / "day.txt").write_text("\n".join(str(day) for day in dates) + "\n")
    lines = []
    for n, symbol in enumerate(symbols):
        rows = np.flatnonzero(listed[:, n])
        if rows.size == 0:
            continue
        first, last = rows[0], rows[-1]
        lines.append(f"{symbol}\t{dates[first]}\t{dates[last]}")
        home = folder / "features" / symbol.lower()
        home.mkdir(parents=True)
        for name in BARS:
            values = bars[name][first : last + 1, n].astype("<f4")
            np.concatenate([np.array([first], "<f4"), values]).tofile(home / f"{name}.day.bin")
    (folder / "instruments" / "all.txt").write_text("\n".join(lines) + "\n")


def run_handler(folder: Path, name: str) -> tuple[pl.DataFrame, dict]:
    """Return the long frame of qlib's handler on a folder, and what the run took, on one core."""
    env = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")}
    with tempfile.TemporaryDirectory() as aside:
        out = Path(aside) / "features.parquet"
        command = [str(qlib_python()), str(HERE / "run_qlib.py"), str(folder), name, str(out)]
        done = subprocess.run(command, env=env, cwd=aside, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"qlib failed:\n{done.stderr[-4000:]}")
        return pl.read_parquet(out), json.loads(done.stdout.strip().splitlines()[-1])


def to_block(frame: pl.DataFrame, dates: np.ndarray, symbols: np.ndarray, columns: list[str]) -> np.ndarray:
    """Return the frame as a block `[T, N, F]` of float32; NaN where it has no row."""
    block = np.full((dates.size, symbols.size, len(columns)), np.nan, np.float32)
    t = np.searchsorted(dates, frame["date"].cast(pl.Date).to_numpy().astype("datetime64[D]"))
    place = {symbol: n for n, symbol in enumerate(symbols)}
    n = np.array([place[symbol.upper()] for symbol in frame["symbol"].to_list()])
    block[t, n] = frame.select(columns).to_numpy()
    return block
