"""Several processes under torchrun give what one gives, and stop together."""

import json
import subprocess
import time

import numpy as np
import pytest
import several_processes as fits
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from random_samples import random_samples

from alphaloom.errors import UsageError
from alphaloom.training.batches import DayBatches, RowBatches
from alphaloom.training.divided import GradientSum
from alphaloom.training.network import FittedNetwork
from alphaloom.training.parallel import Peers, joined
from alphaloom.training.torchrun import Place


def run(*words: object) -> subprocess.CompletedProcess[str]:
    """Return the finished fits of two processes."""
    words = fits.torchrun(fits.__file__, *words)
    return subprocess.run(words, env=fits.environment(), capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Return the folder of what two processes got, in one start, from every case that does not kill them."""
    folder = tmp_path_factory.mktemp("together")
    done = run(folder, *(case for case in fits.CASES if case != "exit"))
    assert done.returncode == 0, done.stderr
    return folder


def told(folder, case):
    """Return what each process said of a case."""
    return [json.loads((folder / case / f"{rank}.json").read_text()) for rank in range(2)]


def weights(folder, case):
    """Return the weights that both processes have, bit for bit."""
    first, second = (np.load(folder / case / f"{rank}.npz") for rank in range(2))
    for name in first.files:
        assert_array_equal(first[name], second[name])
    return {name: first[name] for name in first.files}


def distance(found: dict[str, np.ndarray], fitted: FittedNetwork) -> float:
    """Return the largest relative distance between the weights of two fits, a tensor at a time."""
    wanted = {name: tensor.numpy() for name, tensor in fitted.module.state_dict().items()}
    assert found.keys() == wanted.keys()
    return max(float(np.linalg.norm(found[k] - wanted[k]) / np.linalg.norm(wanted[k])) for k in wanted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "tolerance"),
    [
        ("days", 1e-5),
        ("days_double", 1e-10),
        ("idle", 1e-10),
        ("one_day", 1e-10),
        ("rows", 1e-5),
        ("rows_double", 1e-10),
        ("master", 1e-5),
        ("master_double", 1e-10),
        ("without_validation", 1e-5),
    ],
)
def test_two_processes_give_the_weights_of_one(together, tmp_path, case, tolerance):
    """Weights agree within rounding and both curves tell the same story, though a batch is odd or leaves one idle."""
    alone, found = fits.CASES[case](tmp_path), weights(together, case)
    if case == "idle":  # a correlation leaves the level free: the bias follows the rounding of a gradient of zero
        found["inner.head.bias"] = alone.module.state_dict()["inner.head.bias"].numpy()
    assert distance(found, alone) < tolerance
    for said in told(together, case):
        assert said["best_epoch"] == alone.best_epoch
        for mine, theirs in zip(said["history"], alone.history, strict=True):
            for name in ("train_loss", "valid_loss", "valid_rank_ic", "lr"):
                assert mine[name] == theirs[name] or mine[name] == pytest.approx(theirs[name], rel=1e-4)


@pytest.mark.slow
def test_the_first_process_decides_on_the_precision(together):
    """With `auto` both processes train in what the first one timed to be faster."""
    first, second = ({record["precision"] for record in said["history"]} for said in told(together, "auto"))
    assert first == second
    assert len(first) == 1
    weights(together, "auto")


@pytest.mark.slow
def test_a_fit_resumed_by_two_processes_ends_the_same(together):
    """Only the first reads and writes the checkpoint; both end with the bits of an uninterrupted fit."""
    whole, resumed = weights(together, "dropout"), weights(together, "interrupted")
    for name, value in whole.items():
        assert_array_equal(resumed[name], value)
    assert [path.name for path in (together / "interrupted" / "work").iterdir()] == ["checkpoint.pt"]


@pytest.mark.slow
def test_the_checkpoint_of_two_processes_serves_one(together, tmp_path):
    """A single process takes the finished fit from the checkpoint that two wrote."""
    model = fits.network(days_per_step=4, dropout=0.3)
    fitted = fits.fit(model, checkpoint=together / "interrupted" / "work" / "checkpoint.pt")
    assert distance(weights(together, "interrupted"), fitted) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "kind", "message"),
    [
        ("pooled", "SettingError", "loss.pooled: ic takes all stocks of a batch for those of one day"),
        ("batch_norm", "SettingError", "normalises over the batch (layers.2, layers.5)"),
        ("further", "SettingError", "further_labels: 2 processes weigh their parts"),
        ("diverge", "RunError", "diverged in epoch 1 on panel row 12, 26, 29 and 1 more days: the loss"),
        ("raise", "RunError", "MemoryError: no room for the scores"),
        ("buffers", "RunError", "hold different weights after epoch 1"),
        ("choosy", "RunError", "learns scale on some training days but not on others"),
        ("other_data", "RunError", "hold different data or settings"),
    ],
)
def test_what_stops_one_process_stops_all_with_one_message(together, case, kind, message):
    """Refusals, and errors of one process alone, are the same message on both; nothing waits for a timeout."""
    first, second = told(together, case)
    assert first["error"] == kind
    assert second["error"] in {kind, "PeerError"}
    assert message in first["message"]
    assert first["message"] == second["message"]


@pytest.mark.slow
def test_a_process_that_dies_ends_the_other(tmp_path):
    """A process killed in a step is noticed at once: torchrun fails, and what the other says names the timeout."""
    began = time.monotonic()
    done = run(tmp_path, "exit")
    assert done.returncode == 1
    assert time.monotonic() - began < 120
    said = tmp_path / "exit" / "0.json"
    if said.is_file():  # torchrun may have ended it before
        assert "ALPHALOOM_PEER_TIMEOUT" in json.loads(said.read_text())["message"]


@settings(max_examples=20, deadline=None)
@given(size=st.integers(1, 5), days=st.integers(1, 7), rows=st.integers(2, 40), least=st.integers(1, 10))
def test_shares_make_up_the_batch(size, days, rows, least):
    """Over processes, shares hold each day or row of a batch once; no share of rows is smaller than a loss needs."""
    samples = random_samples(T=24, N=9, first=4)
    whole = DayBatches(samples, days_per_step=days, shuffle=True)
    shares = [list(whole.shares(3, rank, size)) for rank in range(size)]
    for batch, *parts in zip(whole.epoch(3), *shares, strict=True):
        held = [part.batch().days for part in parts if part.size]
        assert sorted(np.concatenate(held)) == sorted(batch.days)
        assert sum(part.part for part in parts) == pytest.approx(1)
    lines = RowBatches(samples, rows, steps=2)
    shares = [list(lines.shares(3, rank, size, least=least)) for rank in range(size)]
    for batch, *parts in zip(lines.epoch(3), *shares, strict=True):
        held = [part.batch() for part in parts if part.size]
        found = [(d, s) for one in held for d, s in zip(one.days, one.stocks[0], strict=True)]
        assert found == list(zip(batch.days, batch.stocks[0], strict=True))
        assert [part.size for part in parts if part.size] == [one.days.size for one in held]
        assert len(held) == 1 or min(part.size for part in parts if part.size) >= least


def test_a_lone_process_talks_to_nobody():
    """Without torchrun's variables there is one process, and all that several do together is plain work."""
    peers = joined()
    assert (peers.rank, peers.size, peers.is_first) == (0, 1, True)
    assert peers.told(lambda: 3) == 3
    assert peers.gather(lambda: 4) == [4]
    values = torch.ones(2)
    assert peers.sum(values) is values
    with pytest.raises(ZeroDivisionError), peers.agree():
        raise ZeroDivisionError
    step = (torch.ones(()), torch.ones(2, dtype=torch.bool))
    assert GradientSum(Peers(), {}).step(None, lambda share: step) is step


def test_the_place_is_read_from_the_environment(monkeypatch):
    """RANK and WORLD_SIZE make the place, the local ones the device; anything but a number is refused by name."""
    assert Place.here() == Place(0, 1, 0, 1)
    monkeypatch.setenv("RANK", "3")
    assert Place.here() == Place(0, 1, 0, 1)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert Place.here() == Place(3, 4, 1, 2)
    assert not Place.here().is_first
    monkeypatch.setenv("WORLD_SIZE", "four")
    with pytest.raises(UsageError, match="WORLD_SIZE='four'"):
        Place.here()


@pytest.mark.parametrize("given", ["0", "-3", "soon", "inf", "nan"])
def test_a_timeout_that_is_none_is_refused(monkeypatch, given):
    """The timeout must be a positive number of seconds; refused before anything connects."""
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("ALPHALOOM_PEER_TIMEOUT", given)
    joined.cache_clear()
    try:
        with pytest.raises(UsageError, match=f"ALPHALOOM_PEER_TIMEOUT='{given}'"):
            joined()
    finally:
        joined.cache_clear()
