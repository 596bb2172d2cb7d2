"""Batches of rows and of like days, treatments of gaps, further labels, and the panel on the device."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from random_samples import random_samples

from alphaloom.errors import DataError, UsageError
from alphaloom.training.batches import DayBatches, RowBatches
from alphaloom.training.samples import Samples

GAPS = ("zero", "exclude", "carry_forward", "mask")


def rich_samples(seed=0, first=6):
    """Return samples with an extra, a further label and dates beside what `random_samples` has."""
    plain = random_samples(T=24, N=9, first=first, seed=seed)
    rng = np.random.default_rng(seed)
    extra, further = rng.standard_normal((2, *plain.label.shape)).astype(np.float32)
    further[rng.random(further.shape) < 0.3] = np.nan
    dates = np.datetime64("2020-01-01") + np.arange(24)
    return Samples(plain.block, plain.label, plain.member, plain.rows, {"amount": extra}, (further,), dates)


def expected_window(samples, row, stock, steps, stride, gaps):
    """Return one window with missing values as zeros and gaps treated, by plain indexing, and which steps are there."""
    values = [samples.block[row - k * stride, stock] for k in reversed(range(steps))]
    there = [not np.isnan(v).all() for v in values]
    if gaps == "carry_forward":
        for k in range(1, steps):
            if np.isnan(values[k]).all():
                values[k] = values[k - 1]
    return np.nan_to_num(np.array(values)), there


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 40),
    order=st.sampled_from(["random", "time", "stock"]),
    gaps=st.sampled_from(GAPS),
    steps=st.integers(1, 4),
    seed=st.integers(0, 4),
)
def test_row_batches_hold_every_labelled_row_once(rows, order, gaps, steps, seed):
    """Each labelled pair of stock and day comes once an epoch with its own window, label and extras."""
    samples = rich_samples(seed)
    batches = RowBatches(samples, rows, steps=steps, order=order, gaps=gaps, seed=seed, extras=("amount",))
    seen = []
    for batch in batches.epoch(2):
        assert batch.x.shape == (1, batch.days.size, steps, samples.n_features)
        assert batch.days.size <= rows
        assert batch.score_mask.all()
        assert batch.label_mask.all()
        for k, (day, stock) in enumerate(zip(batch.days, batch.stocks[0], strict=True)):
            row = samples.rows[day]
            window, there = expected_window(samples, row, stock, steps, 1, gaps)
            assert_array_equal(batch.x[0, k].numpy(), window)
            assert batch.y[0, k] == samples.label[row, stock]
            assert batch.extras["amount"][0, k] == samples.extras["amount"][row, stock]
            assert_array_equal(batch.further[0, k, 0].numpy(), samples.further[0][row, stock])
            if gaps == "mask":
                assert batch.step_mask[0, k].tolist() == there
            seen.append((day, stock))
    assert sorted(seen) == list(zip(*np.nonzero(batches.labelled), strict=True))
    if order == "time":
        assert seen == sorted(seen)
    if order == "stock":
        assert seen == sorted(seen, key=lambda pair: (pair[1], pair[0]))


def test_order_of_rows_is_drawn_from_seed_and_epoch_alone():
    """The same seed and epoch give the same rows, another epoch others."""
    samples = random_samples(T=40)

    def order(seed, epoch):
        return [tuple(b.days) for b in RowBatches(samples, 16, seed=seed).epoch(epoch)]

    assert order(1, 3) == order(1, 3)
    assert order(1, 3) != order(1, 4)
    assert order(2, 3) != order(1, 3)


@pytest.mark.parametrize("gaps", GAPS)
@pytest.mark.parametrize("days", [1, 3])
def test_the_panel_on_the_device_gives_the_same_batches(gaps, days):
    """Windows indexed from a panel on the device equal those gathered on the host, in both forms of batch."""
    samples = rich_samples()
    form = {"steps": 3, "stride": 2, "gaps": gaps, "extras": ("amount",), "seed": 4, "short_history": "zero"}
    pairs = [
        [list(DayBatches(samples, days_per_step=days, shuffle=True, on_device=on, **form).epoch(1)) for on in (0, 1)],
        [list(RowBatches(samples, 17, on_device=on, **form).epoch(1)) for on in (0, 1)],
    ]
    for host, device in ((a, b) for hosts, devices in pairs for a, b in zip(hosts, devices, strict=True)):
        assert_array_equal(host.days, device.days)
        assert_array_equal(host.stocks, device.stocks)
        for name in ("y", "score_mask", "label_mask", "further", "step_mask"):
            a, b = getattr(host, name), getattr(device, name)
            assert (a is None) == (b is None)
            if a is not None:
                assert_array_equal(a, b)
        assert_array_equal(host.extras["amount"], device.extras["amount"])
    hosts, devices = (DayBatches(samples, days_per_step=days, on_device=on, **form) for on in (0, 1))
    for host, device in zip(hosts.epoch(), devices.epoch(), strict=True):
        assert_array_equal(host.x, device.x)  # compared one by one: the host's buffer is used again
        assert device.x.dtype == torch.float32


def test_an_infinite_feature_on_the_device_is_named_by_date():
    """The panel on the device refuses what the gathering pass refuses, in its words; an unused one is let be."""
    samples = rich_samples()
    day, stock = np.argwhere(samples.scorable())[3]
    row = samples.rows[day]
    block = samples.block.copy()
    block[row, stock, 1] = np.inf
    wrong = Samples(block, samples.label, samples.member, samples.rows, dates=samples.dates)
    message = f"Feature number 1 is infinite for stock number {stock} on {samples.dates[row]}"
    with pytest.raises(DataError, match=message):
        list(DayBatches(wrong, on_device=False).epoch())
    with pytest.raises(DataError, match=message):
        DayBatches(wrong, on_device=True)
    member = samples.member.copy()
    member[row, stock] = False
    DayBatches(Samples(block, samples.label, member, samples.rows), on_device=True)


def test_days_of_like_size_share_a_batch():
    """With several days a step most of a batch is stocks, not padding; still every day comes once, in drawn order."""
    T, N = 60, 400
    rng = np.random.default_rng(0)
    member = rng.random((T, N)) < np.where(np.arange(T) % 2, 0.2, 1.0)[:, None]
    block, label = rng.standard_normal((T, N, 1)).astype(np.float32), np.zeros((T, N), np.float32)
    batches = DayBatches(Samples(block, label, member, np.arange(T)), days_per_step=4, shuffle=True, seed=1)
    found = [(batch.days, float(batch.score_mask.float().mean())) for batch in batches.epoch(1)]
    assert sorted(np.concatenate([days for days, _ in found])) == list(range(T))
    assert len(found) == len(batches) == 15
    assert np.median([full for _, full in found]) > 0.85
    again = [batch.days.tolist() for batch in batches.epoch(2)]
    assert again != [days.tolist() for days, _ in found]


def test_gaps_are_counted_and_may_leave_a_stock_out():
    """Windows that begin before the listing and windows with a gap are counted apart; `exclude` drops the latter."""
    block = np.ones((6, 4, 1), dtype=np.float32)
    block[:4, 1] = np.nan  # listed at row 4
    block[4, 2] = np.nan  # suspended at row 4
    block[3, 3] = np.nan  # nothing at the oldest step
    samples = Samples(block, np.ones((6, 4), np.float32), np.ones((6, 4), bool), np.array([5]))
    assert samples.window_counts(3, 1) == {"windows": 4, "short_history": 2, "gaps": 1}
    assert samples.scorable(3, 1, "exclude", "zero").tolist() == [[True, False, True, False]]
    assert samples.scorable(3, 1, "zero", "exclude").tolist() == [[True, True, False, True]]
    assert samples.scorable(3, 1, "exclude", "exclude").tolist() == [[True, False, False, False]]


def test_nothing_is_carried_into_a_window_from_before_it():
    """`carry_forward` takes steps of the window alone: what lies before its oldest step, or a listing, stays out."""
    block = np.arange(6, dtype=np.float32).reshape(6, 1, 1) + 1
    block[3] = np.nan
    samples = Samples(block, np.ones((6, 1), np.float32), np.ones((6, 1), bool), np.array([4, 5]))
    form = {"steps": 3, "short_history": "zero", "gaps": "carry_forward"}
    for on_device in (False, True):
        windows = [b.x[0, 0, :, 0].tolist() for b in DayBatches(samples, on_device=on_device, **form).epoch()]
        assert windows == [[3, 3, 5], [0, 5, 6]]


def test_nonsense_row_counts_are_refused():
    """Rows a step begin at 1."""
    with pytest.raises(UsageError, match="rows_per_step must be 1 or more"):
        RowBatches(random_samples(), 0)


def test_a_day_without_trading_is_a_gap_though_some_features_are_known():
    """Counts and sums over a window exist on suspended days: where trading is known it decides what is empty."""
    samples = rich_samples(first=8)
    traded = np.random.default_rng(5).random(samples.member.shape) < 0.7
    block = np.nan_to_num(samples.block)  # every feature is known on every day
    known = Samples(block, samples.label, samples.member, samples.rows, traded=traded)
    blind = Samples(block, samples.label, samples.member, samples.rows)
    assert blind.window_counts(4, 2)["gaps"] == 0
    assert known.window_counts(4, 2)["gaps"] > 0
    steps = np.array([[traded[row - back] for back in (6, 4, 2, 0)] for row in known.rows])  # [D, L, N]
    whole = known.member[known.rows] & steps.all(axis=1)
    assert_array_equal(known.scorable(4, 2, "exclude", "exclude"), whole)
    for on_device in (False, True):
        form = {"steps": 4, "stride": 2, "on_device": on_device}
        for batch in DayBatches(known, gaps="mask", **form).epoch():
            for k, stock in enumerate(batch.stocks[0]):
                assert batch.step_mask[0, k].tolist() == steps[batch.days[0], :, stock].tolist()
        for batch in DayBatches(known, gaps="carry_forward", **form).epoch():
            row = known.rows[batch.days[0]]
            for k, stock in enumerate(batch.stocks[0]):
                window, held = [block[row - back, stock] for back in (6, 4, 2, 0)], None
                for step, there in enumerate(steps[batch.days[0], :, stock]):
                    held = window[step] if there else held
                    window[step] = window[step] if held is None else held
                assert_array_equal(batch.x[0, k].numpy(), window)


def test_rows_are_spread_evenly():
    """No batch of an epoch is much smaller than the others."""
    sizes = [batch.days.size for batch in RowBatches(random_samples(T=40), 16).epoch()]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= 16


def test_one_panel_on_the_device_serves_all_samples_of_a_block():
    """Training and validation days share the panel on the device; other panels have their own."""
    samples = rich_samples()
    a, b = (DayBatches(samples.subset(rows), on_device=True) for rows in np.array_split(samples.rows, 2))
    assert a._source._block is b._source._block
    assert DayBatches(rich_samples(), on_device=True)._source._block is not a._source._block
