"""The one training loop: determinism, resuming, stopping, and what it refuses."""

import json

import numpy as np
import pytest
import torch
from learnable import planted, rank_ic
from numpy.testing import assert_allclose, assert_array_equal

from alphaloom.errors import DataError, RunError, UnsafeFileError
from alphaloom.models.base import FitContext, models
from alphaloom.models.gru import GRU
from alphaloom.training.adamw import AdamW
from alphaloom.training.loop import train_network
from alphaloom.training.samples import Samples

CONTEXT = FitContext(seed=7, threads=1, features=("a", "b", "c", "d"))


@pytest.fixture(scope="module")
def market():
    """Return a small market with a linear signal."""
    return planted(D=30, N=30, F=4, seed=1)


def small(**optimisation):
    """Return a small GRU."""
    settings = {"lr": 5e-3, "epochs": 6, "patience": 6} | optimisation
    return models.parse({"name": "gru", "hidden": 8, "steps": 3, "optimisation": settings})


def curve(fitted):
    """Return the training curve without the seconds."""
    return [{key: value for key, value in record.items() if key != "seconds"} for record in fitted.history]


class KilledError(Exception):
    """Stands for a process that ends between two epochs."""


def stop_after(epoch, error):
    """Return a progress callback that raises when this epoch has ended."""

    def progress(record):
        if record["epoch"] == epoch:
            raise error

    return progress


@pytest.mark.parametrize("epoch", [1, 3, 5])
@pytest.mark.parametrize("error", [KilledError, KeyboardInterrupt])
def test_resuming_gives_the_numbers_of_an_uninterrupted_run(market, tmp_path, epoch, error):
    """A fit killed after any epoch and called again ends with the same weights, curve and scores bit for bit."""
    model, file = small(), tmp_path / "work" / "checkpoint.pt"
    whole = train_network(model, market.train, market.valid, context=CONTEXT)
    with pytest.raises(error):
        train_network(
            model,
            market.train,
            market.valid,
            context=CONTEXT,
            checkpoint=file,
            progress=stop_after(epoch, error),
        )
    assert [path.name for path in file.parent.iterdir()] == ["checkpoint.pt"]
    seen = []
    resumed = train_network(
        model, market.train, market.valid, context=CONTEXT, checkpoint=file, progress=lambda r: seen.append(r["epoch"])
    )
    assert seen == list(range(epoch + 1, 7))
    assert curve(resumed) == curve(whole)
    assert resumed.best_epoch == whole.best_epoch
    for name, value in whole.module.state_dict().items():
        assert torch.equal(resumed.module.state_dict()[name], value)
    assert_array_equal(resumed.predict(market.test), whole.predict(market.test))


def test_killed_inside_an_epoch_resumes_from_the_last_whole_one(market, tmp_path, monkeypatch):
    """An interruption in the middle of an epoch loses that epoch alone."""
    model, file = small(), tmp_path / "checkpoint.pt"
    whole = train_network(model, market.train, market.valid, context=CONTEXT)
    steps = iter(range(45))  # 18 training days: the third epoch is half done
    clip = torch.nn.utils.clip_grad_value_

    def interrupted(parameters, value):
        if next(steps) == 44:
            raise KeyboardInterrupt
        return clip(parameters, value)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_value_", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_network(model, market.train, market.valid, context=CONTEXT, checkpoint=file)
    monkeypatch.undo()
    resumed = train_network(model, market.train, market.valid, context=CONTEXT, checkpoint=file)
    assert curve(resumed) == curve(whole)
    assert_array_equal(resumed.predict(market.test), whole.predict(market.test))


def test_a_finished_fit_is_not_trained_again(market, tmp_path):
    """Called with the checkpoint of a finished fit, the loop only hands back the best weights."""
    file = tmp_path / "checkpoint.pt"
    first = train_network(small(), market.train, market.valid, context=CONTEXT, checkpoint=file)
    again = train_network(
        small(), market.train, market.valid, context=CONTEXT, checkpoint=file, progress=stop_after(1, KilledError)
    )
    assert again.history == first.history
    assert_array_equal(again.predict(market.test), first.predict(market.test))


def test_seed_decides(market):
    """Another seed gives other weights; the caller's own random state is neither used nor changed."""
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    a = train_network(small(epochs=2), market.train, market.valid, context=CONTEXT)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    b = train_network(small(epochs=2), market.train, market.valid, context=CONTEXT)
    other = FitContext(seed=8, threads=1, features=CONTEXT.features)
    c = train_network(small(epochs=2), market.train, market.valid, context=other)
    assert curve(a) == curve(b)
    assert curve(a) != curve(c)


def test_threads_are_put_back(market):
    """The context's thread number holds during the fit alone, also when it fails."""
    before = torch.get_num_threads()
    seen = []
    context = FitContext(seed=7, threads=before + 1, features=CONTEXT.features)
    train_network(
        small(epochs=1),
        market.train,
        market.valid,
        context=context,
        progress=lambda _: seen.append(torch.get_num_threads()),
    )
    assert seen == [before + 1]
    assert torch.get_num_threads() == before
    with pytest.raises(KilledError):
        train_network(small(epochs=1), market.train, market.valid, context=context, progress=stop_after(1, KilledError))
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("select_on", "column", "pick"), [("rank_ic", "valid_rank_ic", max), ("loss", "valid_loss", min)]
)
def test_best_weights_are_restored(market, select_on, column, pick):
    """The weights handed back are those of the best validation epoch: scoring the validation days shows its RankIC."""
    fitted = train_network(
        small(lr=0.05, select_on=select_on, epochs=8, patience=8), market.train, market.valid, context=CONTEXT
    )
    best = pick(fitted.history, key=lambda record: record[column])
    assert fitted.best_epoch == best["epoch"]
    assert rank_ic(fitted.predict(market.valid), market.valid) == pytest.approx(best["valid_rank_ic"], abs=1e-6)


def test_patience_stops(market):
    """Training ends `patience` epochs after the best one."""
    fitted = train_network(small(lr=0.1, epochs=60, patience=3), market.train, market.valid, context=CONTEXT)
    assert len(fitted.history) == fitted.best_epoch + 3 < 60


def test_without_validation_all_epochs_are_run(market):
    """With no validation day nothing is selected: the last weights are kept and the curve has no validation values."""
    fitted = train_network(small(epochs=3), market.train, market.valid.subset(np.array([], int)), context=CONTEXT)
    assert fitted.best_epoch == len(fitted.history) == 3
    assert {record["valid_loss"] for record in fitted.history} == {None}


def test_losses_in_the_curve_are_means_over_days(market):
    """The recorded validation loss equals the mean over days of the day's squared error, computed in numpy."""
    fitted = train_network(small(epochs=1), market.train, market.valid, context=CONTEXT)
    score, label = fitted.predict(market.valid), market.valid.label[market.valid.rows]
    expected = np.nanmean(np.nanmean((score - label) ** 2, axis=1))
    assert fitted.history[0]["valid_loss"] == pytest.approx(expected, rel=1e-5)


def test_cosine_schedule_falls_towards_zero(market):
    """Epoch e of E is trained at lr (1 + cos(pi (e - 1) / E)) / 2."""
    fitted = train_network(small(schedule="cosine", epochs=4), market.train, market.valid, context=CONTEXT)
    expected = [5e-3 * (1 + np.cos(np.pi * k / 4)) / 2 for k in range(4)]
    assert_allclose([record["lr"] for record in fitted.history], expected)


def test_several_days_a_step(market):
    """Batches of several days, padded to the largest, learn the signal too."""
    fitted = train_network(
        small(days_per_step=4, epochs=15, patience=15, lr=2e-2), market.train, market.valid, context=CONTEXT
    )
    assert rank_ic(fitted.predict(market.test), market.test) > 0.3 * market.ceiling


def test_divergence_names_epoch_day_and_tensor(market):
    """A loss, score or gradient that overflows stops the fit before it spoils the weights, and is named."""
    row = market.train.rows[4]
    label = market.train.label.copy()
    label[row] = np.float32(3e30)
    huge = Samples(market.train.block, label, market.train.member, market.train.rows)
    with pytest.raises(RunError, match=rf"diverged in epoch 1 on panel row {row}: the loss is no longer finite"):
        train_network(small(), huge, market.valid, context=CONTEXT)


def test_a_gradient_that_is_not_finite_is_named(market, monkeypatch):
    """The weight whose gradient overflowed stands in the message."""
    backward = torch.autograd.backward

    def spoilt(loss):
        backward(loss)
        spoilt.module.head.weight.grad[0, 0] = torch.inf

    build = GRU.build

    def keep(self, n_features):
        spoilt.module = build(self, n_features)
        return spoilt.module

    monkeypatch.setattr(GRU, "build", keep)
    monkeypatch.setattr(torch.autograd, "backward", spoilt)
    with pytest.raises(RunError, match=r"diverged in epoch 1 .* the gradient of head\.weight is no longer finite"):
        train_network(small(), market.train, market.valid, context=CONTEXT)


def test_optimiser_follows_the_published_formula():
    """Decoupled weight decay and bias-corrected moments as published, written out in numpy; a copied state goes on."""
    torch.manual_seed(0)
    module = torch.nn.Linear(3, 1, bias=False)
    ours = AdamW(module, weight_decay=0.1)
    w, m, v = module.weight.detach().double().numpy().copy(), np.zeros((1, 3)), np.zeros((1, 3))
    rng = np.random.default_rng(0)
    for k in range(1, 21):
        if k == 10:
            fresh = AdamW(module, weight_decay=0.1)
            fresh.restore(ours.state())
            ours = fresh
        gradient = rng.standard_normal((1, 3))
        ours.clear()
        module.weight.grad = torch.from_numpy(gradient).float()
        ours.step(1e-2)
        w *= 1 - 1e-2 * 0.1
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        w -= 1e-2 * (m / (1 - 0.9**k)) / (np.sqrt(v / (1 - 0.999**k)) + 1e-8)
    assert_allclose(module.weight.detach(), w, atol=1e-6)


@pytest.mark.slow  # torch's class imports its compiler first
def test_optimiser_equals_torch():
    """Twenty steps of AdamW give the weights of torch's own class, also after its state went through a copy."""
    torch.manual_seed(0)
    mine, theirs = torch.nn.Linear(4, 3), torch.nn.Linear(4, 3)
    theirs.load_state_dict(mine.state_dict())
    ours = AdamW(mine, weight_decay=0.1)
    reference = torch.optim.AdamW(theirs.parameters(), lr=1e-2, weight_decay=0.1)
    for k in range(20):
        x = torch.randn(8, 4)
        if k == 10:
            fresh = AdamW(mine, weight_decay=0.1)
            fresh.restore(ours.state())
            ours = fresh
        ours.clear()
        reference.zero_grad()
        mine(x).square().sum().backward()
        theirs(x).square().sum().backward()
        ours.step(1e-2)
        reference.step()
    assert_allclose(mine.weight.detach(), theirs.weight.detach(), atol=1e-6)
    assert_allclose(mine.bias.detach(), theirs.bias.detach(), atol=1e-6)


def test_checkpoint_of_another_fit_is_refused(market, tmp_path):
    """Other settings, seed or data never continue from a checkpoint that is not theirs."""
    file = tmp_path / "checkpoint.pt"
    train_network(small(epochs=1), market.train, market.valid, context=CONTEXT, checkpoint=file)
    other = FitContext(seed=8, threads=1, features=CONTEXT.features)
    fewer = market.train.subset(market.train.rows[1:])
    for model, train, context in (
        (small(epochs=2), market.train, CONTEXT),
        (small(epochs=1), market.train, other),
        (small(epochs=1), fewer, CONTEXT),
    ):
        with pytest.raises(RunError, match="belongs to another fit"):
            train_network(model, train, market.valid, context=context, checkpoint=file)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_damaged_checkpoint_is_refused(market, tmp_path, content):
    """A cut-off or foreign file is named and refused, and code in it is never run."""
    file = tmp_path / "checkpoint.pt"
    if content is None:
        train_network(small(epochs=1), market.train, market.valid, context=CONTEXT, checkpoint=file)
        content = file.read_bytes()[:-200]
    file.write_bytes(content)
    with pytest.raises(UnsafeFileError, match="delete it to train from the start"):
        train_network(small(epochs=1), market.train, market.valid, context=CONTEXT, checkpoint=file)


def test_too_few_labels_are_refused(market):
    """No usable training day, or no validation day for the measure asked for, is refused before training."""
    bare = Samples(market.train.block, np.full_like(market.train.label, np.nan), market.train.member, market.train.rows)
    with pytest.raises(DataError, match="No training day has 2 labelled stocks"):
        train_network(small(), bare, market.valid, context=CONTEXT)
    label = market.valid.label.copy()
    label[:, 9:] = np.nan
    nine = Samples(market.valid.block, label, market.valid.member, market.valid.rows)
    with pytest.raises(DataError, match=r"No validation day has 10 labelled stocks.*on rank_ic"):
        train_network(small(), market.train, nine, context=CONTEXT)
    fitted = train_network(small(select_on="loss", epochs=1), market.train, nine, context=CONTEXT)
    assert fitted.history[0]["valid_rank_ic"] is None


def test_saved_network_is_plain(market, tmp_path):
    """A network goes to disk as safetensors and JSON."""
    train_network(small(epochs=1), market.train, market.valid, context=CONTEXT).save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["network.json", "weights.safetensors"]
    assert json.loads((tmp_path / "network.json").read_text())["model"]["name"] == "gru"


@pytest.mark.gpu
def test_cuda_and_cpu_agree(market):
    """The same weights score alike on both devices, and a fit on CUDA resumes and learns as one on the CPU does."""
    fitted = train_network(small(epochs=10), market.train, market.valid, context=CONTEXT)
    assert next(fitted.module.parameters()).device.type == "cuda"
    there = fitted.predict(market.test)
    fitted.module.cpu()
    assert_allclose(fitted.predict(market.test), there, atol=1e-4)
    assert rank_ic(there, market.test) > 0.3 * market.ceiling
