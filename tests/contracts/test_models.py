"""What every registered model promises, whoever wrote it."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from learnable import planted, rank_ic
from numpy.testing import assert_allclose, assert_array_equal

from alphaloom.errors import MissingLibraryError, SettingError
from alphaloom.models.base import Batch, FitContext, Network, Optimisation, Shape, models
from alphaloom.training.fit import fit_model, load_fitted
from alphaloom.training.precision import half_precision
from alphaloom.training.samples import Samples

NAMES = models.names()
NETWORKS = [cls.name for cls in models if issubclass(cls, Network)]
RECURRENT = {"alstm"}
"""Attend to steps that a recurrence has read, masked ones as zeros."""
F = 6


def features(name):
    """Return names of F features that the model can be tried on."""
    cls = models[name]
    names = cls.example_features() if issubclass(cls, Network) else Shape.of(F).features
    assert len(set(names)) == F
    return names


def context(name, seed=0):
    """Return a fit context for F features."""
    return FitContext(seed=seed, threads=1, features=features(name))


def fresh(model, outputs=1):
    """Return a module of the network for F features, settled on random rows."""
    rows = np.random.default_rng(0).standard_normal((100, F), dtype=np.float32)
    names = features(model.name)
    torch.manual_seed(0)
    return model.build(Shape(names, outputs, model.settle(rows, names))).eval()


def quick(name):
    """Return the model with its own defaults, a network's width and training shortened to what a small sample needs."""
    model = models.parse(name)
    if not isinstance(model, Network):
        return model
    widths = {"d_model": 32, "factors": 16}
    narrow = {setting: width for setting, width in widths.items() if setting in type(model).model_fields}
    return model.model_copy(update={"optimisation": Optimisation(lr=5e-3, epochs=8, patience=4), **narrow})


def fit(name, market):
    """Return the model fitted on a market; skips the test when its optional library is not installed."""
    try:
        return fit_model(quick(name), market.train, market.valid, context=context(name))
    except MissingLibraryError as error:
        pytest.skip(str(error))


def data(kind="linear", seed=0, **shape):
    """Return planted samples with enough history for every model."""
    model_reach = max((models.parse(name).steps - 1) * models.parse(name).stride for name in NAMES)
    return planted(kind, F=F, history=max(8, model_reach), seed=seed, **shape)


def day_batch(x, mask):
    """Return a batch of days with random labels for all stocks of the mask."""
    y = torch.randn(mask.shape, generator=torch.Generator().manual_seed(3)) * mask
    return Batch(x, y, mask, mask, np.arange(len(x)), np.tile(np.arange(mask.shape[1]), (len(x), 1)))


def digest(samples):
    """Return a hash of all arrays of the samples."""
    return hashlib.sha256(samples.block.tobytes() + samples.label.tobytes() + samples.member.tobytes()).hexdigest()


@pytest.fixture(scope="module")
def linear():
    """Return the market with a linear signal."""
    return data("linear")


@pytest.fixture(scope="module")
def fits(linear):
    """Return a function that fits each model once on the linear signal."""
    done = {}

    def fitted(name):
        if name not in done:
            done[name] = fit(name, linear)
        return done[name]

    return fitted


@pytest.mark.parametrize("name", NAMES)
def test_defaults_and_round_trip(name):
    """A model is made without settings; its description makes an equal one; steps and stride are at least 1."""
    model = models.parse(name)
    assert models.parse(model.describe()) == model
    assert min(model.steps, model.stride) >= 1


@pytest.mark.parametrize("name", NAMES)
def test_misspelt_setting_is_refused(name):
    """A setting that the model does not have is an error, never ignored."""
    with pytest.raises(SettingError, match="unknown setting 'learning_rat'"):
        models.parse({"name": name, "learning_rat": 0.1})


@pytest.mark.parametrize("name", NAMES)
def test_out_of_range_settings_are_refused(name):
    """Every bound that a setting declares is enforced."""
    properties = models[name].model_json_schema()["properties"]
    for setting, schema in properties.items():
        for bound, beyond in (("minimum", -1), ("exclusiveMinimum", 0), ("maximum", 1), ("exclusiveMaximum", 0)):
            if bound in schema:
                with pytest.raises(SettingError, match=setting):
                    models.parse({"name": name, setting: schema[bound] + beyond})


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_documented(name):
    """Each setting carries a sentence that says what it is."""
    for setting, schema in models[name].model_json_schema()["properties"].items():
        assert schema.get("description"), setting


@pytest.mark.parametrize("name", NAMES)
def test_learns_a_planted_linear_signal(name, fits, linear):
    """Out of sample the scores earn more than half of what knowing the truth would; the input stays as it was."""
    before = digest(linear.test)
    scores = fits(name).predict(linear.test)
    assert rank_ic(scores, linear.test) > 0.5 * linear.ceiling
    assert digest(linear.test) == before


@pytest.mark.parametrize("name", NAMES)
def test_scores_exist_exactly_where_they_can(name, fits, linear):
    """Scores `[D, N]` are finite for members with features and a full window, NaN elsewhere; labels play no part."""
    model = models.parse(name)
    scores = fits(name).predict(linear.test)
    scorable = linear.test.scorable(model.steps, model.stride)
    assert scores.dtype == np.float32
    assert_array_equal(np.isfinite(scores), scorable)
    blind = Samples(linear.test.block, np.full_like(linear.test.label, np.nan), linear.test.member, linear.test.rows)
    assert_array_equal(fits(name).predict(blind), scores)


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_scores(name, fits, linear):
    """A second fit with the same seed, data and threads gives the same scores bit for bit."""
    again = fit(name, linear)
    assert_array_equal(again.predict(linear.test), fits(name).predict(linear.test))
    assert len(again.history) == len(fits(name).history)


@pytest.mark.parametrize("name", NAMES)
def test_round_trip_through_disk(name, fits, linear, tmp_path):
    """A saved model scores equal bit for bit, keeps its curve and importance, and no file in it is a pickle."""
    fitted = fits(name)
    fitted.save(tmp_path / "model")
    loaded = load_fitted(tmp_path / "model", threads=1)
    assert_array_equal(loaded.predict(linear.test), fitted.predict(linear.test))
    assert loaded.model == fitted.model
    assert loaded.features == fitted.features
    assert loaded.history == fitted.history
    assert loaded.best_iteration == fitted.best_iteration
    if fitted.importance is None:
        assert loaded.importance is None
    else:
        assert fitted.importance.shape == (F,)
        assert (fitted.importance >= 0).all()
        assert_array_equal(loaded.importance, fitted.importance)
    suffixes = {path.suffix for path in (tmp_path / "model").rglob("*") if path.is_file()}
    assert not suffixes & {".pkl", ".pickle", ".joblib", ".pt", ".bin"}


@pytest.mark.parametrize("name", NAMES)
def test_noise_gives_nothing(name):
    """On labels without any signal the out-of-sample RankIC is zero within three standard errors."""
    market = data("none", seed=5)
    scores = fit(name, market).predict(market.test)
    assert abs(rank_ic(scores, market.test)) < 3 / np.sqrt(np.isfinite(scores).sum())


@pytest.mark.parametrize("name", NAMES)
def test_the_future_changes_no_past_score(name, fits, linear):
    """Spoiling every feature, label and member after a date leaves its scores and earlier ones as they were."""
    samples = linear.test
    cut = samples.rows[3] + 1
    block, label, member = samples.block.copy(), samples.label.copy(), samples.member.copy()
    block[cut:], label[cut:], member[cut:] = 77.0, -77.0, ~member[cut:]
    spoilt = Samples(block, label, member, samples.rows)
    assert_array_equal(fits(name).predict(spoilt)[:4], fits(name).predict(samples)[:4])
    assert not np.array_equal(fits(name).predict(spoilt)[4:], fits(name).predict(samples)[4:], equal_nan=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_day_is_scored_alone_as_among_others(name, fits, linear):
    """Asking for one date gives the scores of a longer run bit for bit: tomorrow is scored as the past was."""
    samples = linear.test
    one = fits(name).predict(samples.subset(samples.rows[5:6]))
    assert_array_equal(one[0], fits(name).predict(samples)[5])


@pytest.mark.parametrize("name", NAMES)
def test_order_of_stocks_does_not_matter(name, fits, linear):
    """Reordering the symbols reorders the scores."""
    samples = linear.test
    order = np.random.default_rng(0).permutation(samples.block.shape[1])
    shuffled = Samples(
        np.ascontiguousarray(samples.block[:, order]), samples.label[:, order], samples.member[:, order], samples.rows
    )
    assert_allclose(fits(name).predict(shuffled), fits(name).predict(samples)[:, order], atol=2e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_padding_changes_nothing(name):
    """Stocks outside the mask, anywhere and with anything finite in them, change no score, and get no gradient."""
    model = models.parse(name)
    module = fresh(model)
    x, mask = torch.randn(2, 12, model.steps, F), torch.ones(2, 12, dtype=torch.bool)
    padded, wider = torch.full((2, 20, model.steps, F), 9.0), torch.zeros(2, 20, dtype=torch.bool)
    places = torch.randperm(20)[:12]
    padded[:, places], wider[:, places] = x, mask
    padded.requires_grad_(True)
    scores = module(padded, wider)
    assert scores.shape == (2, 20)
    assert torch.isfinite(scores).all()
    with torch.no_grad():
        assert_allclose(scores[:, places].detach(), module(x, mask), atol=1e-5)
    model.objective(module, day_batch(padded, wider))[1].backward()
    assert (padded.grad[~wider] == 0).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_objective_scores_as_forward_does(name):
    """In evaluation mode the scores beside the objective are those of `forward`; the objective is a finite number."""
    model = models.parse(name)
    module = fresh(model)
    batch = day_batch(torch.randn(2, 12, model.steps, F), torch.rand(2, 12) < 0.9)
    with torch.no_grad():
        score, value = model.objective(module, batch)
        assert_array_equal(score, module(batch.x, batch.score_mask))
    assert value.shape == ()
    assert torch.isfinite(value)


@pytest.mark.parametrize("name", NETWORKS)
def test_one_stock_and_one_day_are_enough_to_score(name):
    """A batch of one day with one stock keeps its shape `[1, 1]`."""
    model = models.parse(name)
    module = fresh(model)
    with torch.no_grad():
        assert module(torch.zeros(1, 1, model.steps, F), torch.ones(1, 1, dtype=torch.bool)).shape == (1, 1)


def test_a_sequential_signal_is_seen_by_a_network_alone():
    """A label driven by a feature two rows ago is learned by the GRU, and invisible to trees on the last row."""
    market = data("sequential", seed=2)
    scores = {
        name: rank_ic(
            fit_model(quick(name), market.train, market.valid, context=context(name)).predict(market.test), market.test
        )
        for name in ("gru", "lightgbm", "xgboost", "ridge")
    }
    assert scores.pop("gru") > 0.5 * market.ceiling
    assert max(abs(value) for value in scores.values()) < 0.1 * market.ceiling + 3 / np.sqrt(15 * 80)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_day_without_any_stock_is_harmless(name):
    """A batch in which every stock is padding gives finite scores, an objective of finite value and zero gradients."""
    model = models.parse(name)
    module = fresh(model).train()
    nobody = torch.zeros(2, 7, dtype=torch.bool)
    score, value = model.objective(module, day_batch(torch.randn(2, 7, model.steps, F), nobody))
    assert torch.isfinite(score).all()
    assert torch.isfinite(value)
    value.backward()
    gradients = [weight.grad for weight in module.parameters() if weight.grad is not None]
    assert all((gradient == 0).all() for gradient in gradients)


HALF = [
    pytest.param("cpu", "bfloat16"),
    *(pytest.param("cuda", kind, marks=pytest.mark.gpu) for kind in ("bfloat16", "float16")),
]


@pytest.mark.parametrize(("device", "precision"), HALF)
@pytest.mark.parametrize("name", NETWORKS)
def test_half_precision_ranks_as_float32_does(name, device, precision):
    """With its products in half precision a network gives finite gradients and nearly the scores of float32."""
    model = models.parse(name)
    module = fresh(model).to(device)
    plain = day_batch(torch.randn(2, 40, model.steps, F), torch.rand(2, 40) < 0.9)
    moved = {name: getattr(plain, name).to(device) for name in ("x", "y", "score_mask", "label_mask")}
    batch = replace(plain, **moved)
    whole, _ = model.objective(module, batch)
    with half_precision(precision, torch.device(device)):
        half, value = model.objective(module, batch)
    value.backward()
    assert all(torch.isfinite(weight.grad).all() for weight in module.parameters() if weight.grad is not None)
    pair = torch.stack([whole[batch.score_mask], half[batch.score_mask].float()]).detach()
    assert torch.corrcoef(pair)[0, 1] > 0.98


@pytest.mark.parametrize("name", [name for name in NETWORKS if models[name].several_outputs])
def test_several_labels_get_an_output_each(name):
    """Built for H labels, a network forecasts `[B, N, H]`, and `[B, N]` for one."""
    model = models.parse(name)
    x, mask = torch.randn(2, 5, model.steps, F), torch.rand(2, 5) < 0.8
    for outputs, shape in ((1, (2, 5)), (3, (2, 5, 3))):
        assert fresh(model, outputs)(x, mask).shape == shape


@pytest.mark.parametrize("name", [name for name in NETWORKS if models[name].masks_steps])
def test_a_full_step_mask_changes_nothing(name):
    """A mask of steps that leaves none out gives the scores without a mask; one without any step stays finite."""
    model = models.parse(name)
    module = fresh(model)
    x, mask = torch.randn(2, 5, model.steps, F), torch.rand(2, 5) < 0.8
    with torch.no_grad():
        full = module(x, mask, torch.ones(2, 5, model.steps, dtype=torch.bool))
        assert_allclose(full[mask], module(x, mask)[mask], atol=1e-5)
        assert torch.isfinite(module(x, mask, torch.zeros(2, 5, model.steps, dtype=torch.bool))).all()


@pytest.mark.parametrize("name", [name for name in NETWORKS if models[name].masks_steps and name not in RECURRENT])
def test_what_stands_at_a_masked_step_changes_nothing(name):
    """Whatever stands at a step outside the step mask, no score of a stock with its last step changes."""
    model = models.parse(name)
    module = fresh(model)
    torch.manual_seed(2)
    x, mask = torch.randn(2, 6, model.steps, F), torch.ones(2, 6, dtype=torch.bool)
    steps = torch.rand(2, 6, model.steps) < 0.6
    steps[..., -1] = True
    other = torch.where(steps[..., None], x, 9.0)
    with torch.no_grad():
        assert_allclose(module(other, mask, steps), module(x, mask, steps), rtol=0, atol=1e-6)
        assert not torch.allclose(module(other, mask), module(x, mask), atol=1e-4)
