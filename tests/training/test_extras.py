"""What fits read beside features and labels: from the samples to batches, rows, losses and early stopping."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from learnable import planted, rank_ic
from numpy.testing import assert_array_equal

from alphaloom.errors import DataError, RunError, SettingError
from alphaloom.losses.base import RETURN
from alphaloom.losses.gaussian import normal_kl
from alphaloom.models.base import FitContext, Network, models
from alphaloom.training.batches import DayBatches
from alphaloom.training.fit import fit_model
from alphaloom.training.loop import train_network
from alphaloom.training.samples import estimator_rows

CONTEXT = FitContext(seed=7, threads=1, features=("a", "b", "c", "d"))


def carried(samples):
    """Return the samples with a raw return, traded values and exposures, a part of them unknown."""
    rng = np.random.default_rng(4)
    shape = samples.label.shape
    amount = np.exp(17 + 2 * rng.standard_normal(shape)).astype(np.float32)
    amount[rng.random(shape) < 0.05] = np.nan
    extras = {
        RETURN: 0.02 * samples.label,
        "amount": amount,
        "industry": rng.integers(0, 3, shape).astype(np.float32),
        "log_cap": (20 + rng.standard_normal(shape)).astype(np.float32),
    }
    return replace(samples, extras=extras)


@pytest.fixture(scope="module")
def market():
    """Return a small market with a linear signal and extras."""
    found = planted(D=40, N=40, F=4, seed=1)
    return replace(found, train=carried(found.train), valid=carried(found.valid), test=carried(found.test))


def small(loss="mse", cls="gru", **optimisation):
    """Return a small network."""
    settings = {"lr": 1e-2, "epochs": 10, "patience": 10} | optimisation
    return models.parse({"name": cls, "hidden": 8, "steps": 1, "loss": loss, "optimisation": settings})


@pytest.mark.parametrize("days", [1, 3])
def test_batches_gather_extras_like_labels(market, days):
    """Each place of a batch holds the extra of its own stock and date, NaN where unknown, 0 at padding."""
    samples = market.train
    for batch in DayBatches(samples, days_per_step=days, shuffle=True, extras=("amount", RETURN)).epoch(1):
        assert set(batch.extras) == {"amount", RETURN}
        for name, values in batch.extras.items():
            assert values.dtype == torch.float32
            for b, day in enumerate(batch.days):
                there = batch.stocks[b] >= 0
                expected = samples.extras[name][samples.rows[day], batch.stocks[b][there]]
                assert_array_equal(values[b, there].numpy(), expected)
                assert (values[b, ~there] == 0).all()


def test_rows_carry_extras(market):
    """An estimator's rows hold the extras of the same stocks and dates, in the same order."""
    samples = market.valid
    rows = estimator_rows(samples, ("amount",))
    keep = samples.scorable() & ~np.isnan(samples.label[samples.rows])
    assert_array_equal(rows.extras["amount"], samples.extras["amount"][samples.rows][keep])
    assert estimator_rows(samples).extras == {}
    assert samples.subset(samples.rows[:1]).extras is samples.extras


@pytest.mark.parametrize(
    "model", [small("liquidity_pearson"), models.parse({"name": "lightgbm", "select_on": "sharpe"})]
)
def test_absent_extras_are_named(market, model):
    """A fit whose samples lack what it reads says what, and what they carry."""
    bare = replace(market.train, extras={"log_cap": market.train.extras["log_cap"]})
    name = "amount" if isinstance(model, Network) else RETURN
    with pytest.raises(DataError, match=f"The fit reads '{name}' of every stock.*carry log_cap"):
        fit_model(model, bare, bare.subset(market.valid.rows), context=CONTEXT)


def test_extras_of_another_shape_are_refused(market):
    """Extras stand on the axes of the panel."""
    with pytest.raises(DataError, match="amount has shape"):
        replace(market.train, extras={"amount": market.train.label[:-1]})


@pytest.mark.parametrize(
    "loss",
    [
        "ic",
        "rank_ic",
        "weighted_pearson",
        "liquidity_pearson",
        "neutral_mse",
        "sigmoid_mse",
        "long_weighted_mse",
        "exponential_mse",
        {"name": "ic", "pooled": True},
    ],
)
def test_every_loss_learns_the_signal(market, loss):
    """A network trained on any of the losses finds the planted signal."""
    fitted = train_network(
        small(loss, epochs=25, lr=2e-2, days_per_step=2), market.train, market.valid, context=CONTEXT
    )
    assert rank_ic(fitted.predict(market.test), market.test) > 0.5 * market.ceiling


@pytest.mark.parametrize("select_on", ["icir", "sharpe", "liquidity_return"])
@pytest.mark.parametrize("name", ["gru", "lightgbm"])
def test_selection_keeps_the_best_of_the_measure(market, select_on, name):
    """Networks and trees keep the iteration that is best by the measure, and record it beside loss and RankIC."""
    model = (
        small(select_on=select_on, lr=0.05)
        if name == "gru"
        else models.parse({"name": name, "select_on": select_on, "n_estimators": 40, "min_data_in_leaf": 20})
    )
    fitted = fit_model(model, market.train, market.valid, context=CONTEXT)
    values = [record[f"valid_{select_on}"] for record in fitted.history]
    assert fitted.best_iteration == int(np.argmax(values)) + 1
    assert {"valid_loss", "valid_rank_ic"} <= set(fitted.history[0])


def test_deviations_need_two_days(market):
    """Stopping on a ratio of mean and deviation is refused when a single validation day counts."""
    one = market.valid.subset(market.valid.rows[:1])
    for model in (small(select_on="icir"), models.parse({"name": "lightgbm", "select_on": "sharpe"})):
        with pytest.raises(DataError, match="icir and sharpe need two such days"):
            fit_model(model, market.train, one, context=CONTEXT)


def test_extras_belong_to_a_checkpoint(market, tmp_path):
    """Other traded values are other data: a fit on them never continues from the old one's checkpoint."""
    model, file = small("liquidity_pearson", epochs=1), tmp_path / "checkpoint.pt"
    train_network(model, market.train, market.valid, context=CONTEXT, checkpoint=file)
    other = replace(market.train, extras=market.train.extras | {"amount": market.train.extras["log_cap"]})
    with pytest.raises(RunError, match="belongs to another fit"):
        train_network(model, other, market.valid, context=CONTEXT, checkpoint=file)


def test_scores_need_no_extras(market):
    """A fitted network scores samples that carry nothing but features."""
    fitted = train_network(small("liquidity_pearson", epochs=1), market.train, market.valid, context=CONTEXT)
    assert_array_equal(fitted.predict(replace(market.test, extras={})), fitted.predict(market.test))


class Latent(Network):
    """One latent number a day, drawn from a posterior that reads the labels in training, from a prior otherwise."""

    name: ClassVar[str] = "latent"
    gives: ClassVar[tuple[str, ...]] = ("variance",)
    kl_weight: float = 0.1

    def build(self, shape):
        """Return a fresh module."""
        return LatentScore(shape.n_features)

    def objective(self, module, batch):
        """Return scores, and the likelihood with the divergence of the posterior from the prior."""
        score, variance, posterior, prior = module.explained(batch.x, batch.score_mask, batch.y, batch.label_mask)
        loss = self.loss(score, batch.y, batch.label_mask, {**batch.extras, "variance": variance})
        given = score if module.training else module(batch.x, batch.score_mask)
        return given, loss + self.kl_weight * normal_kl(*posterior, *prior).mean()


class LatentScore(torch.nn.Module):
    """Linear scores and log variances, shifted by the day's latent number."""

    def __init__(self, n_features):
        super().__init__()
        self.head = torch.nn.Linear(n_features, 2)
        self.prior = torch.nn.Parameter(torch.zeros(2))
        self.encode = torch.nn.Linear(1, 2)

    def forward(self, x, mask):
        """Return scores at the prior's mean."""
        return self.head(x[:, :, -1])[..., 0] + self.prior[0]

    def explained(self, x, mask, y, labelled):
        """Return scores given the labels, variances, and both distributions of the latent number."""
        mean, log_variance = self.head(x[:, :, -1]).unbind(-1)
        average = (y * labelled).sum(1, keepdim=True) / labelled.sum(1, keepdim=True)
        center, log_deviation = self.encode(average).unbind(-1)
        latent = center + log_deviation.exp() * torch.randn_like(center) if self.training else center
        prior = self.prior[0].expand_as(center), self.prior[1].exp().expand_as(center)
        return mean + latent[:, None], log_variance.exp(), (center, log_deviation.exp()), prior


def latent(loss="gaussian"):
    """Return the network with a latent number."""
    return Latent.parse({"loss": loss, "optimisation": {"lr": 3e-2, "epochs": 30, "patience": 30}})


def test_a_network_may_learn_from_more_than_its_scores(market):
    """A network with a posterior, a variance and a divergence trains by its own objective in the one loop."""
    fitted = train_network(latent(), market.train, market.valid, context=CONTEXT)
    assert rank_ic(fitted.predict(market.test), market.test) > 0.7 * market.ceiling
    again = train_network(latent(), market.train, market.valid, context=CONTEXT)
    assert_array_equal(again.predict(market.test), fitted.predict(market.test))


def test_the_validation_loss_is_the_objective(market):
    """The curve's validation loss is the network's own objective in evaluation mode, averaged over days."""
    fitted = train_network(latent().model_copy(update={"kl_weight": 0.0}), market.train, market.valid, context=CONTEXT)
    module, values = fitted.module, []
    best = fitted.history[fitted.best_epoch - 1]
    for batch in DayBatches(market.valid, min_labels=1).epoch():
        with torch.no_grad():
            score, variance, _, _ = module.explained(batch.x, batch.score_mask, batch.y, batch.label_mask)
        s, v, y = (array[batch.label_mask].double().numpy() for array in (score, variance, batch.y))
        values.append(np.mean(0.5 * (np.log(2 * np.pi * v) + (y - s) ** 2 / v)))
    assert best["valid_loss"] == pytest.approx(np.mean(values), rel=1e-5)


def test_a_loss_that_needs_a_variance_refuses_other_networks():
    """The likelihood with a network of scores alone is an error in the settings, before any data are read."""
    with pytest.raises(SettingError, match="the loss gaussian needs a network that gives variance beside its scores"):
        small("gaussian")
    assert latent("mse").loss.name == "mse"


def test_pooling_one_day_is_refused():
    """A pooled loss with one day a step would be the loss of each day after all."""
    with pytest.raises(SettingError, match=r"`pooled` takes the days of a batch for one, but .* is 1"):
        small({"name": "ic", "pooled": True})
