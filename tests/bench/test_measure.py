"""One cell: what is timed, how much of an epoch, how memory and arithmetic are counted."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from random_samples import random_samples

from alphaloom.bench.cell import NO_MEMORY, failure, measure, some_steps
from alphaloom.bench.machine import machine, machine_words, resident_mb
from alphaloom.bench.rate import flops_per_step, matrix_peak
from alphaloom.bench.sources import Synthetic, read_samples, write_samples
from alphaloom.errors import DataError, UsageError
from alphaloom.executors.machine import cores
from alphaloom.models.base import FitContext, models
from alphaloom.training.batches import RowBatches
from alphaloom.training.samples import Samples


def network(name="transformer", rows=24, steps=3, **settings):
    """Return a network on batches of rows."""
    optimisation = {"rows_per_step": rows, "epochs": 2}
    loss = {"name": "ic", "pooled": True}
    return models.parse({"name": name, "steps": steps, "loss": loss, "optimisation": optimisation, **settings})


def request(folder, model, **more):
    """Return what a cell's process is asked for."""
    asked = {"model": model.describe(), "samples": str(folder), "max_steps": 2, "repeats": 2, "threads": 1}
    return asked | {"seed": 1, "profile": False} | more


def test_some_steps_keeps_so_many_rows_of_all_days():
    """An epoch then has exactly so many whole batches, drawn from all days by the seed; features are shared."""
    samples, model = random_samples(T=40, N=30, first=5), network(rows=32)
    cut = some_steps(samples, model, 3, seed=4)
    batches = RowBatches(cut, 32, steps=3)
    assert (len(batches), batches.size) == (3, 96)
    assert cut.block is samples.block
    kept = ~np.isnan(cut.label)
    np.testing.assert_array_equal(cut.label[kept], samples.label[kept])
    assert np.unique(np.nonzero(kept)[0]).size > 20
    again = some_steps(samples, model, 3, seed=4)
    np.testing.assert_array_equal(again.label, cut.label)
    assert not np.array_equal(some_steps(samples, model, 3, seed=5).label, cut.label, equal_nan=True)


def test_some_steps_leaves_a_shorter_epoch_whole():
    """More steps than an epoch has, or None, change nothing; less than one batch is refused."""
    samples = random_samples(T=20, N=10, first=5)
    assert some_steps(samples, network(rows=20), None, seed=0) is samples
    assert some_steps(samples, network(rows=20), 10_000, seed=0) is samples
    with pytest.raises(DataError, match=r"fewer than one batch of 4,096"):
        some_steps(samples, network(rows=4096), 1, seed=0)


def test_samples_survive_the_way_to_another_process(tmp_path):
    """Every array is there again, extras, further labels and the features' names too."""
    plain = random_samples(T=9, N=4)
    samples = Samples(
        plain.block, plain.label, plain.member, plain.rows[2:], {"a:b": plain.label + 1}, (plain.label * 2,)
    )
    names = tuple(f"std_close_{k}" for k in range(samples.n_features))
    write_samples(samples, names, tmp_path)
    made, read = read_samples(tmp_path)
    assert read == names
    for name in ("block", "label", "member", "rows"):
        np.testing.assert_array_equal(getattr(made, name), getattr(samples, name))
    np.testing.assert_array_equal(made.extra("a:b"), samples.extra("a:b"))
    np.testing.assert_array_equal(made.further[0], samples.further[0])


def test_synthetic_samples_have_the_size_asked_for():
    """Stocks x days rows for any number of steps: the history lies before them."""
    samples = Synthetic(features=4, stocks=6, days=7).make(network(steps=5), 1)
    assert samples.block.shape == (7 + 4, 6, 4)
    assert samples.scorable(5, 1).sum() == 42


def test_a_cell_is_measured(tmp_path):
    """Each fit is told with its seconds; the facts say how much was read, and how long the loader alone took."""
    source = Synthetic(features=5, stocks=20, days=6)
    write_samples(source.make(network(), 1), source.names(), tmp_path)
    told = []
    facts = measure(request(tmp_path, network(), profile=True), told.append)
    assert [line["event"] for line in told] == ["fit", "fit"]
    assert all(line["seconds"] > 0 and line["setup_s"] > 0 and line["cpu_s"] > 0 for line in told)
    assert all(line["waited_share"] is None or 0 <= line["waited_share"] <= 1 for line in told)
    assert (facts["batches"], facts["epoch_rows"], facts["ran_in"]) == (2, 48, "float32")
    assert 0 < facts["loader_s"] < sum(line["seconds"] for line in told)
    assert 0 <= facts["fit_mb"] < facts["resident_mb"]
    assert facts["warmup_s"] > 0
    assert facts["peak_gflops"] > 0
    assert facts["flops_per_row"] > 2 * facts["parameters"]


def test_the_own_process_answers_in_lines(tmp_path):
    """A line of JSON a fit and one at the end; a failure is a line with its reason and exit code 1."""
    source = Synthetic(features=3, stocks=10, days=4)
    write_samples(source.make(network(), 1), source.names(), tmp_path)

    def answer(asked):
        words = [sys.executable, "-m", "alphaloom.bench.cell"]
        done = subprocess.run(words, input=json.dumps(asked), capture_output=True, text=True, check=False)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    code, lines = answer(request(tmp_path, network(rows=20), repeats=1))
    assert code == 0
    assert [line["event"] for line in lines] == ["fit", "done"]
    code, lines = answer(request(tmp_path, network(rows=64)))
    assert code == 1
    assert lines == [{"event": "failed", "error": "The samples hold 40 labelled rows, fewer than one batch of 64."}]


def test_a_network_that_reads_names_is_measured(tmp_path):
    """AlphaNet V4 finds its columns by name and settles on some of them, for the count of its arithmetic too."""
    model = network("alphanet_v4", hidden=4, layers=1, attention_hidden=4)
    names = type(model).example_features()
    samples = random_samples(T=40, N=10, F=len(names), first=5)
    write_samples(samples, names, tmp_path)
    facts = measure(request(tmp_path, model, repeats=1, profile=True), lambda line: None)
    assert facts["parameters"] > 0
    assert facts["flops_per_row"] > 0
    with pytest.raises(UsageError, match=r"alphanet_v4 reads the names of its features \(such as std_close_10\)"):
        Synthetic().make(model, 1)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), NO_MEMORY),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), NO_MEMORY),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), NO_MEMORY),
        (RuntimeError("first line\nsecond"), "first line"),
    ],
)
def test_failures_are_one_line(error, words):
    """Memory that is not there is called so, whoever says it; other errors are their first line."""
    assert failure(error) == words


def context(F):
    """Return a fit's context."""
    return FitContext(1, 1, tuple(f"f{k}" for k in range(F)))


def test_arithmetic_of_a_transformer_by_hand():
    """Three times the forward products, less the gradient of the first input; twice a multiplication."""
    F, L, D, ff, rows = 10, 5, 64, 256, 32
    model = network(rows=rows, steps=L, size="small")
    samples = Synthetic(features=F, stocks=20, days=8).make(model, 1)
    whole_layer = L * (4 * D * D + 2 * D * ff) + 2 * L * L * D
    last_layer = L * 2 * D * D + 2 * D * D + 2 * D * ff + 2 * L * D
    forward = L * F * D + whole_layer + last_layer + D
    assert flops_per_step(model, samples, context(F)) == rows * (6 * forward - 2 * L * F * D)


def test_arithmetic_of_a_gru_by_hand():
    """Two layers of three gates; neither the first input nor the first state needs a gradient."""
    F, L, H, rows = 10, 4, 16, 32
    model = network("gru", rows=rows, steps=L, hidden=H, layers=2)
    samples = Synthetic(features=F, stocks=20, days=8).make(model, 1)
    forward = L * 3 * H * (F + H) + L * 3 * H * (H + H) + H
    none = L * 3 * H * F + 2 * 3 * H * H
    assert flops_per_step(model, samples, context(F)) == rows * (6 * forward - 2 * none)


def test_the_peak_is_above_what_a_plain_loop_reaches():
    """A product of matrices runs at no less than a billion operations a second."""
    assert matrix_peak("float32", torch.device("cpu")) > 1e9


def test_the_machine_is_named():
    """Processor, cores, threads and versions; the same again, and in one line."""
    facts = machine(2)
    assert facts == machine(2)
    assert facts["processor"]
    assert facts["torch"] == torch.__version__
    assert 1 <= facts["cores"] == cores()
    assert "2 threads" in machine_words(facts)
    assert "NVIDIA T (16 GB)" in machine_words(facts | {"gpu": "NVIDIA T", "gpu_gb": 16.0})


def test_resident_memory_follows_what_is_allocated():
    """The peak stays when memory is given back, to the megabyte that the system counts by, and covers what is there."""
    before = resident_mb()[1]
    block = np.ones(50_000_000, dtype=np.uint8)
    now, peak = resident_mb()
    assert now is None or now <= peak
    del block
    assert resident_mb()[1] >= max(before, peak) - 1
