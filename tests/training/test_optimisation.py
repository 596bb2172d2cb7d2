"""What `optimisation` asks of the loop: optimisers, clipping, schedules, precision, rows, several labels."""

import os
import subprocess
import sys
import time
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from learnable import planted, rank_ic
from numpy.testing import assert_allclose, assert_array_equal

from alphaloom.errors import RunError, SettingError
from alphaloom.models.base import FitContext, Network, Shape, models
from alphaloom.training.adamw import AdamW
from alphaloom.training.batches import DayBatches
from alphaloom.training.loop import train_network
from alphaloom.training.network import FittedNetwork
from alphaloom.training.precision import LossScale, faster_precision
from alphaloom.training.samples import Samples

CONTEXT = FitContext(seed=7, threads=1, features=("a", "b", "c", "d"))


@pytest.fixture(scope="module")
def market():
    """Return a small market with a linear signal."""
    return planted(D=40, N=40, F=4, seed=1)


def small(loss="mse", **optimisation):
    """Return a small GRU."""
    settings = {"lr": 5e-3, "epochs": 6, "patience": 6} | optimisation
    return models.parse({"name": "gru", "hidden": 8, "steps": 3, "loss": loss, "optimisation": settings})


def fit(market, model):
    """Return the trained network."""
    return train_network(model, market.train, market.valid, context=CONTEXT)


@pytest.mark.parametrize(("decoupled", "peer"), [(True, torch.optim.AdamW), (False, torch.optim.Adam)])
def test_both_optimisers_are_torch_s_own(decoupled, peer):
    """Ten steps give the weights of torch's class with the same weight decay."""
    torch.manual_seed(0)
    mine, theirs = (torch.nn.Linear(4, 3) for _ in range(2))
    theirs.load_state_dict(mine.state_dict())
    own, other = AdamW(mine, 0.1, decoupled=decoupled), peer(theirs.parameters(), lr=0.01, weight_decay=0.1)
    for k in range(10):
        x = torch.randn(5, 4, generator=torch.Generator().manual_seed(k))
        own.clear()
        mine(x).square().sum().backward()
        own.step(0.01)
        other.zero_grad()
        theirs(x).square().sum().backward()
        other.step()
    assert_allclose(mine.weight.detach(), theirs.weight.detach(), rtol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"schedule": "constant"}, [0.01] * 5),
        ({"schedule": "cosine"}, [0.01 * (1 + np.cos(np.pi * k / 5)) / 2 for k in range(5)]),
        (
            {"schedule": "cosine", "lr_end": 0.001},
            [0.001 + 0.009 * (1 + np.cos(np.pi * k / 4)) / 2 for k in range(5)],
        ),
        ({"schedule": "decay", "lr_end": 0.001}, [0.01 * 10 ** (-k / 4) for k in range(5)]),
        ({"schedule": "decay"}, [0.01 * 1000 ** (-k / 4) for k in range(5)]),
    ],
)
def test_schedules(market, schedule, expected):
    """The curve records the learning rate of each epoch, which follows its formula."""
    model = small(lr=0.01, epochs=5, patience=5, **schedule)
    assert_allclose([record["lr"] for record in fit(market, model).history], expected, rtol=1e-12)


def test_gradients_are_clipped_as_asked(market, monkeypatch):
    """`norm` bounds the norm over all weights, `value` each entry, and `none` leaves gradients alone."""
    seen: dict[str, list[float]] = {}
    step = AdamW.step
    for clip in ("norm", "value", "none"):
        sizes = seen.setdefault(clip, [])

        def noted(self, lr, sizes=sizes, clip=clip):
            grads = list(self.gradients().values())
            entries = max(float(g.abs().max()) for g in grads)
            sizes.append(entries if clip == "value" else float(torch.stack(torch._foreach_norm(grads)).norm()))
            step(self, lr)

        monkeypatch.setattr(AdamW, "step", noted)
        fit(market, small(clip=clip, clip_value=0.01, epochs=1))
    assert max(seen["norm"]) <= 0.01 * (1 + 1e-4)
    assert max(seen["value"]) <= 0.01 * (1 + 1e-6)
    assert min(seen["none"]) > 0.01


@pytest.mark.parametrize("precision", ["bfloat16", pytest.param("float16", marks=pytest.mark.gpu)])
def test_half_precision_learns_the_same_signal(market, precision):
    """Products in half precision, float32 weights: the scores rank like float32's, and the curve says what was used."""
    whole, half = fit(market, small()), fit(market, small(precision=precision))
    assert all(weight.dtype == torch.float32 for weight in half.module.parameters())
    assert {record["precision"] for record in half.history} == {precision}
    assert "precision" not in whole.history[0]
    assert rank_ic(half.predict(market.test), market.test) == pytest.approx(
        rank_ic(whole.predict(market.test), market.test), abs=0.05
    )


def test_bfloat16_on_a_processor_without_its_instructions():
    """An LSTM, which oneDNN refuses in bfloat16 there, gives finite gradients, and oneDNN serves float32 as before."""
    code = """
import torch
from alphaloom.training.precision import half_precision
assert not torch.ops.mkldnn._is_mkldnn_bf16_supported()
lstm = torch.nn.LSTM(3, 5, batch_first=True)
with half_precision("bfloat16", torch.device("cpu")):
    output, _ = lstm(torch.randn(4, 6, 3))
output.float().sum().backward()
assert all(torch.isfinite(weight.grad).all() for weight in lstm.parameters())
assert torch.backends.mkldnn.enabled
"""
    old = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    subprocess.run([sys.executable, "-c", code], env=old, check=True, timeout=120)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU takes float16")
def test_float16_needs_a_gpu(market):
    """A CPU lacks float16 kernels for some layers: it is refused before the first step, with what to take instead."""
    with pytest.raises(SettingError, match="float16 needs a GPU.*bfloat16"):
        fit(market, small(precision="float16"))


def test_auto_times_both_and_leaves_no_trace(market, monkeypatch):
    """`auto` takes what is faster and says so; the fit is then that of the precision it took, bit for bit."""
    for chosen in ("float32", "bfloat16"):
        monkeypatch.setattr(
            "alphaloom.training.loop.faster_precision",
            lambda step, device, chosen=chosen: (step("float32"), step("bfloat16"), (chosen, {}))[-1],
        )
        auto, told = fit(market, small(precision="auto")), fit(market, small(precision=chosen))
        assert {record["precision"] for record in auto.history} == {chosen}
        assert_array_equal(auto.predict(market.test), told.predict(market.test))


def test_the_faster_precision_is_taken():
    """Of two precisions the one whose steps take clearly less time."""
    waits = {"float32": 0.002, "bfloat16": 0.0}

    def step(precision):
        time.sleep(waits[precision])

    assert faster_precision(step, torch.device("cpu"))[0] == "bfloat16"
    waits["bfloat16"] = 0.004
    chosen, seconds = faster_precision(step, torch.device("cpu"))
    assert chosen == "float32"
    assert seconds["bfloat16"] > seconds["float32"]


def test_the_scale_of_a_float16_loss():
    """An overflow skips the step and halves the scale; enough sound steps double it; its state goes to disk."""
    scale = LossScale("float16")
    first = scale.value
    assert not scale.unscale({"w": torch.tensor([torch.inf])})
    assert scale.value == first / 2
    gradient = torch.tensor([first])
    for _ in range(1999):
        assert scale.unscale({"w": gradient.clone()})
    other = LossScale("float16")
    other.restore(scale.state())
    assert other.unscale({"w": gradient})
    assert gradient.item() == 2.0
    assert other.value == first
    assert LossScale("float32").unscale({"w": torch.tensor([torch.nan])})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_a_compiled_network_gives_the_same_scores(market):
    """Compiling changes rounding (and which units dropout draws), and the stored weights carry their plain names."""
    plain, compiled = (
        fit(market, small(epochs=2, compiled=on).model_copy(update={"dropout": 0.0})) for on in (False, True)
    )
    assert list(compiled.module.state_dict()) == list(plain.module.state_dict())
    assert_allclose(compiled.predict(market.test), plain.predict(market.test), atol=1e-4)


@pytest.mark.parametrize("order", ["random", "time", "stock"])
def test_rows_of_many_days_teach_as_well(market, order):
    """Training on batches of rows recovers the signal, in any order; each epoch counts every row once."""
    model = small(rows_per_step=128, order=order, epochs=12, patience=12)
    fitted = fit(market, model)
    assert rank_ic(fitted.predict(market.test), market.test) > 0.5 * market.ceiling


def test_losses_of_a_cross_section_are_refused_on_rows():
    """A loss that compares the stocks of a day takes rows of many days only when `pooled` says so."""
    for loss in ("ic", "rank_ic", "weighted_pearson", "sigmoid_mse", "long_weighted_mse"):
        with pytest.raises(SettingError, match=f"the loss {loss} compares the stocks of a day"):
            small(loss, rows_per_step=64)
        small({"name": loss, "pooled": True}, rows_per_step=64)
    for loss in ("mse", "exponential_mse"):
        small(loss, rows_per_step=64)


def test_compiling_is_refused_where_it_would_do_nothing():
    """A network that is trained past its `forward` cannot be compiled."""
    with pytest.raises(SettingError, match="optimisation.compiled: this network is trained past its `forward`"):
        models.parse({"name": "factorvae", "optimisation": {"compiled": True}})


def test_networks_that_mix_stocks_need_whole_days():
    """A network in which stocks attend to each other is refused on rows of many days."""
    with pytest.raises(SettingError, match="scores the stocks of a day together"):
        models.parse({"name": "master", "optimisation": {"rows_per_step": 64}})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"order": "stock"}, "set rows_per_step"),
        ({"rows_per_step": 64, "days_per_step": 2}, "exclude each other"),
        ({"lr": 1e-3, "lr_end": 1e-2, "schedule": "cosine"}, "is above lr"),
        ({"rows_per_step": 1}, "rows_per_step"),
        ({"rows_per_step": 3}, "needs 2 rows in every batch"),
        ({"lr_end": 1e-5}, "`schedule` is constant"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    """Each pair of settings that cannot both hold is named."""
    with pytest.raises(SettingError, match=message):
        small(**settings)


def test_several_labels_are_learned_at_once(market):
    """A second label gets its own output and loss; the score is the forecast of the first, also after a reload."""
    other = np.roll(market.train.label, 1, axis=1)
    both = [
        Samples(s.block, s.label, s.member, s.rows, further=(other,)) for s in (market.train, market.valid, market.test)
    ]
    fitted = train_network(small(), both[0], both[1], context=CONTEXT)
    assert fitted.module.head.out_features == 2
    scores = fitted.predict(both[2])
    assert rank_ic(scores, market.test) > 0.5 * market.ceiling
    assert_array_equal(fitted.predict(market.test), scores)


def test_the_loss_of_several_labels_is_their_mean(market):
    """The objective is the mean over labels of their losses, each over its own labelled stocks."""
    other = market.train.label.copy()
    other[:, ::3] = np.nan
    samples = Samples(
        market.train.block, market.train.label, market.train.member, market.train.rows, further=(2 * other,)
    )
    model = small()
    torch.manual_seed(0)
    module = model.build(Shape.of(4, outputs=2)).eval()
    batch = next(DayBatches(samples, steps=3).epoch())
    score, loss = model.objective(module, batch)
    forecast = module(batch.x, batch.score_mask)
    assert torch.equal(score, forecast[..., 0])
    row, stocks = samples.rows[batch.days[0]], batch.stocks[0]
    terms = []
    for k, label in enumerate((samples.label, 2 * other)):
        y = label[row, stocks]
        error = (forecast[0, :, k].detach().numpy() - y) ** 2
        terms.append(np.nanmean(error))
    assert loss.item() == pytest.approx(np.mean(terms), rel=1e-5)


class Settling(Network):
    """A linear network on the features whose spread in the training rows is largest."""

    settle_rows: ClassVar[int] = 50
    seen: ClassVar[list[tuple[int, ...]]] = []

    def settle(self, rows: Any, features: tuple[str, ...]) -> dict[str, Any]:
        """Return the two widest features."""
        self.seen.append(rows.shape)
        widest = np.argsort(rows.std(axis=0))[-2:]
        return {"kept": sorted(int(k) for k in widest), "names": [features[k] for k in sorted(widest)]}

    def build(self, shape: Any) -> torch.nn.Module:
        """Return the module on the kept features."""
        return Kept(shape.settled["kept"])


class Kept(torch.nn.Module):
    """Linear in the kept features."""

    def __init__(self, kept: list[int]) -> None:
        super().__init__()
        self.kept, self.head = kept, torch.nn.Linear(len(kept), 1)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        return self.head(x[:, :, -1][..., self.kept]).squeeze(-1)


def test_what_a_network_settles_comes_from_training_days_alone(market, tmp_path):
    """`settle` sees labelled training rows once, its result shapes the module and is kept on resuming."""
    block = market.train.block.copy()
    block[..., 3] *= 5
    block[..., 1] *= 3
    block[market.valid.rows[0] :, :, 0] = 1e6  # would be chosen if later days were looked at
    train, valid = (Samples(block, s.label, s.member, s.rows) for s in (market.train, market.valid))
    Settling.name = "settling"  # a registered model has one
    model = Settling(optimisation=small(epochs=2).optimisation)
    Settling.seen.clear()
    file = tmp_path / "checkpoint.pt"
    fitted = train_network(model, train, valid, context=CONTEXT, checkpoint=file)
    assert isinstance(fitted, FittedNetwork)
    ((rows, columns),) = Settling.seen
    assert 40 < rows <= 50
    assert columns == 4
    assert fitted.shape.settled == {"kept": [1, 3], "names": ["b", "d"]}
    again = train_network(model, train, valid, context=CONTEXT, checkpoint=file)
    assert len(Settling.seen) == 1
    assert again.shape.settled == fitted.shape.settled


def test_a_diverging_fit_names_the_date(market):
    """With dates at hand the message names the day, not the panel's row."""
    label = market.train.label.copy()
    label[market.train.rows[4]] = np.float32(3e30)
    dates = np.datetime64("2021-03-01") + np.arange(len(label))
    wrong = Samples(market.train.block, label, market.train.member, market.train.rows, dates=dates)
    with pytest.raises(RunError, match=f"on {dates[market.train.rows[4]]}: the loss is no longer finite"):
        train_network(small(), wrong, market.valid, context=CONTEXT)
