"""Window batches for networks, 2,500 stocks x 158 features: against a plain copy, qlib, notebooks and training steps.

A batch is the windows of all stocks of one day, as training takes them, or of as many rows in random order: gathered
from the feature block, NaN as 0, infinite values refused. The plain copy moves as many bytes from one place of the
same block into the same buffer. The peers hand out a day's windows from a long frame of the same values, NaN left in,
steps without a row filled from their neighbours: qlib's sampler, by a list of items and by single ones, and one in the
style of notebooks, by single ones, which also returns date and stock of every row. They are compared to days with empty
steps carried forward. Then the share of a training step that goes into making its batch.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from alphaloom.kernels.windows import gather_windows
from alphaloom.models.base import Network, Shape, models
from alphaloom.training.samples import DayBatches, Samples
from benchmarks.peers.qlib_peer import qlib_python
from benchmarks.record import save
from benchmarks.training_steps import CASES, cpu, training_step
from benchmarks.training_steps import F as WIDTH

STEPS = (5, 20, 60)
GOALS = {5: 0.7, 20: 0.9, 60: 0.9}
"""Least share of a plain copy's speed."""
OURS = {
    "copy": "plain copy",
    "day": "alphaloom, days",
    "carried": "alphaloom, days, carried",
    "rows": "alphaloom, random rows",
    "pieces": "torch index_select, random rows",
}
PEERS = {"qlib_list": "qlib, a list of items", "qlib": "qlib, items one by one", "notebook": "notebook, one by one"}
NETWORKS = ("rnn", "gru", "lstm", "alstm", "transformer small")
SCRIPT = Path(__file__).parent / "peers" / "run_samplers.py"
Seconds = dict[str, list[float]]


def feature_block(T: int, N: int, F: int, seed: int = 0) -> np.ndarray:
    """Return features `[T, N, F]`: 2 % of the values missing, and 3 % of the (day, stock) pairs without any."""
    rng = np.random.default_rng(seed)
    block = rng.standard_normal((T, N, F), dtype=np.float32)
    block[rng.random(block.shape, dtype=np.float32) < 0.02] = np.nan
    block[rng.random((T, N)) < 0.03] = np.nan
    return block


@contextmanager
def peers(block: np.ndarray) -> Iterator[Callable[[str, int, int, int], float]]:
    """Give `seconds(program, steps, day, items)`: CPU seconds that a peer takes for a window of that day."""
    with tempfile.TemporaryDirectory() as aside:
        file = Path(aside) / "block.npy"
        np.save(file, block)
        command = [str(qlib_python()), str(SCRIPT), str(file)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None

            def answer() -> dict:
                line = process.stdout.readline()
                if not line:
                    raise RuntimeError(f"the peers' samplers ended with code {process.wait()}")
                return json.loads(line)

            answer()  # both samplers are built

            def seconds(program: str, steps: int, day: int, items: int) -> float:
                process.stdin.write(f"{program} {steps} {day} {items}\n")
                process.stdin.flush()
                found = answer()
                return found["cpu_s"] / found["windows"]

            yield seconds
            process.stdin.close()


def gathered(block: np.ndarray, steps: int, repeats: int) -> tuple[Seconds, int]:
    """Return CPU seconds a window of a plain copy, of days and of random rows, in turn; and the windows of a day."""
    T, N, F = block.shape
    rng, flat = np.random.default_rng(steps), block.reshape(-1)
    stocks = np.arange(N)
    out = np.zeros((N, steps, F), np.float32)
    pieces, target = torch.from_numpy(block).view(-1, F), torch.from_numpy(out).view(-1, F)
    back = np.arange(steps)[::-1]
    nobody, everybody = np.empty((0, 0), np.bool_), ~np.isnan(block).all(axis=2)
    seconds: Seconds = {"copy": [], "day": [], "carried": [], "rows": [], "pieces": []}
    for repeat in range(repeats + 1):  # the first run compiles and touches the memory
        start = rng.integers(0, flat.size - out.size)
        source = flat[start : start + out.size]
        day, other = (np.full(N, row) for row in rng.integers(steps - 1, T, 2))
        last = rng.integers(steps - 1, T, N)
        scattered = rng.integers(0, N, N)
        places = ((rng.integers(steps - 1, T, N)[:, None] - back) * N + rng.integers(0, N, N)[:, None]).ravel()
        index = torch.from_numpy(places)
        works: dict[str, Callable[[], object]] = {
            "copy": lambda source=source: np.copyto(out.reshape(-1), source),
            "day": lambda day=day: gather_windows(block, day, stocks, 1, nobody, out),
            "carried": lambda day=other: gather_windows(block, day, stocks, 1, everybody, out),
            "rows": lambda last=last, scattered=scattered: gather_windows(block, last, scattered, 1, nobody, out),
            "pieces": lambda index=index: torch.index_select(pieces, 0, index, out=target),
        }
        for name, work in works.items():
            taken = cpu(work) / N
            if repeat:
                seconds[name].append(taken)
    return seconds, N


def loader_share(block: np.ndarray, model: Network, batches: int, stocks: int) -> tuple[float, float]:
    """Return the CPU seconds that making a day's batch takes, and those of the training step on it; medians."""
    T = len(block)
    label = np.random.default_rng(1).standard_normal(block.shape[:2], dtype=np.float32)
    member = np.zeros(block.shape[:2], dtype=np.bool_)
    member[:, :stocks] = True
    loader = DayBatches(
        Samples(block, label, member, np.arange(model.steps - 1, T)), steps=model.steps, shuffle=True, min_labels=10
    )
    step = training_step(model, model.build(Shape.of(block.shape[2])))
    epoch, loads, learns = loader.epoch(), [], []
    for k in range(batches + 1):
        batch = []
        load = cpu(lambda batch=batch: batch.append(next(epoch)))
        learn = cpu(lambda batch=batch: step(batch[0]))
        if k:
            loads.append(load)
            learns.append(learn)
    return statistics.median(loads), statistics.median(learns)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--stocks", type=int, default=2500)
    parser.add_argument("--days", type=int, default=300)
    parser.add_argument("--features", type=int, default=158)
    parser.add_argument("--repeats", type=int, default=41)
    parser.add_argument("--peer-repeats", type=int, default=5)
    parser.add_argument("--batches", type=int, default=15, help="training steps of each network")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    block = feature_block(args.days, args.stocks, args.features)
    T, N, F = block.shape
    rows, shares, times = [], {}, {}
    for steps in STEPS:
        seconds, _ = gathered(block, steps, args.repeats)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        times[steps] = medians | {"spread": _spread(seconds)}
        shares[steps] = {name: medians["copy"] / medians[name] for name in OURS}
        for name, text in OURS.items():
            rows.append(_row(text, steps, medians[name], medians, 4 * steps * F))
    theirs: dict[int, Seconds] = {steps: {program: [] for program in PEERS} for steps in STEPS[:2]}
    with peers(block) as seconds_of:
        for repeat in range(args.peer_repeats + 1):
            for steps, programs in theirs.items():
                for program, values in programs.items():
                    day = int(np.random.default_rng(repeat).integers(STEPS[1], T))
                    taken = seconds_of(program, steps, day, 0 if program == "qlib_list" else 200)
                    if repeat:
                        values.append(taken)
    ratios = {}
    for steps, programs in theirs.items():
        for program, values in programs.items():
            rows.append(_row(PEERS[program], steps, statistics.median(values), times[steps], 4 * steps * F))
            ratios[f"{program} {steps}"] = rows[-1]["times slower than carried"]
    loads, inputs = {}, np.ascontiguousarray(block[:, :, :WIDTH])
    for name in NETWORKS:
        model = models.parse({**CASES[name][0], "loss": "ic"})
        load, learn = loader_share(inputs, model, args.batches, args.stocks)
        loads[name] = load / (load + learn)
    facts = {
        "shares_of_copy": shares,
        "ratios": ratios,
        "loader_shares": loads,
        "seconds_a_window": times,
        "peer_seconds_a_window": theirs,
        "os_load": os.getloadavg()[0],
    }
    reached = ", ".join(f"{shares[k]['day']:.0%} at L = {k} (at least {goal:.0%})" for k, goal in GOALS.items())
    scattered, pieces = (
        ", ".join(f"{share[name]:.0%} at L = {steps}" for steps, share in shares.items()) for name in ("rows", "pieces")
    )
    days_hold = all(shares[k]["day"] >= goal for k, goal in GOALS.items())
    peers_hold = ratios["notebook 5"] >= 500 and ratios["qlib_list 5"] >= 15
    networks = ", ".join(f"{name} {share:.2%}" for name, share in loads.items())
    peers_text = (
        f"{ratios['notebook 5']:,.0f} times the notebook's sampler (at least 500), "
        f"{ratios['qlib_list 5']:.0f} times qlib's list (at least 15)"
    )
    loader_holds = _verdict(max(loads.values()) < 0.03)
    notes = [
        f"[{T}, {N:,}, {F}] float32, {block.nbytes / 1e9:.2f} GB; batches of {N:,} windows into one reused buffer.",
        f"One core; medians of {args.repeats} runs in turn, {args.peer_repeats} of each peer.",
        f"Acceptance, share of a plain copy for whole days: {reached}: {_verdict(days_hold)}.",
        f"Random rows, pieces of {4 * F} bytes from all over the block, wait for the memory: {scattered}.",
        f"A plain copy of such pieces (torch's index_select, NaN left in): {pieces}.",
        f"Acceptance at L = 5: {peers_text}: {_verdict(peers_hold)}.",
        f"Acceptance, its share of a training step with {WIDTH} features (under 3 %): {networks}: {loader_holds}.",
    ]
    save("batches", "Window batches: CPU time of one core", rows, facts, notes)
    return 0


def _verdict(holds: bool) -> str:
    return "holds" if holds else "MISSED"


def _row(program: str, steps: int, seconds: float, times: dict[str, float], size: int) -> dict[str, object]:
    return {
        "program": program,
        "L": steps,
        "k windows/s": 1e-3 / seconds,
        "GB/s": size / seconds / 1e9,
        "share of the copy": times["copy"] / seconds,
        "times slower than carried": seconds / times["carried"],
    }


def _spread(seconds: Seconds) -> dict[str, float]:
    """Return the quartiles' distance over the median, by program."""
    found = {}
    for name, values in seconds.items():
        low, middle, high = statistics.quantiles(values, n=4)
        found[name] = (high - low) / middle
    return found
