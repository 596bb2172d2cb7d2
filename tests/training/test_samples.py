"""Samples: what reaches estimators and networks, against brute-force slices of the panel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from random_samples import random_samples

from alphaloom.errors import DataError, UsageError
from alphaloom.training.batches import DayBatches
from alphaloom.training.samples import Samples, estimator_rows


def window(samples, row, stock, steps, stride):
    """Return one window by plain indexing, or None when the stock cannot be scored there."""
    rows = [row - k * stride for k in reversed(range(steps))]
    values = np.array([samples.block[r, stock] for r in rows])
    here, oldest = not np.isnan(values[-1]).all(), not np.isnan(values[0]).all()
    return (values, here and oldest) if samples.member[row, stock] else (values, False)


@settings(max_examples=30, deadline=None)
@given(
    steps=st.integers(1, 5),
    stride=st.integers(1, 4),
    days=st.integers(1, 4),
    shuffle=st.booleans(),
    seed=st.integers(0, 5),
)
def test_batches_are_slices_of_the_panel(steps, stride, days, shuffle, seed):
    """Every window equals a plain slice ending at its date, from the first possible row on; each pair comes once."""
    samples = random_samples(first=(steps - 1) * stride, seed=seed)
    batches = DayBatches(samples, steps=steps, stride=stride, days_per_step=days, shuffle=shuffle, seed=seed)
    seen = np.zeros((samples.rows.size, samples.block.shape[1]), dtype=int)
    for batch in batches.epoch(3):
        assert batch.x.shape == (*batch.stocks.shape, steps, samples.n_features)
        for b, day in enumerate(batch.days):
            for k, stock in enumerate(batch.stocks[b]):
                assert bool(batch.score_mask[b, k]) == (stock >= 0)
                if stock < 0:
                    assert not batch.label_mask[b, k]
                    assert (batch.x[b, k] == 0).all()
                    continue
                seen[day, stock] += 1
                row = samples.rows[day]
                values, _ = window(samples, row, stock, steps, stride)
                assert_array_equal(batch.x[b, k].numpy(), np.where(np.isnan(values), 0, values))
                label = samples.label[row, stock]
                assert bool(batch.label_mask[b, k]) == (not np.isnan(label))
                assert batch.y[b, k].item() == (0.0 if np.isnan(label) else label)
    expected = [
        [window(samples, row, stock, steps, stride)[1] for stock in range(samples.block.shape[1])]
        for row in samples.rows
    ]
    assert_array_equal(seen, np.array(expected, dtype=int))


def test_estimator_rows_are_the_labelled_members_with_a_feature():
    """Rows come date-major with NaN kept, offsets mark the days, and rows that are all NaN are left out."""
    samples = random_samples(every=3)
    rows = estimator_rows(samples)
    assert rows.days == samples.rows.size
    for d, row in enumerate(samples.rows):
        keep = [
            n
            for n in range(samples.block.shape[1])
            if samples.member[row, n]
            and not np.isnan(samples.label[row, n])
            and not np.isnan(samples.block[row, n]).all()
        ]
        part = slice(rows.offsets[d], rows.offsets[d + 1])
        assert_array_equal(rows.x[part], samples.block[row, keep])
        assert_array_equal(rows.y[part], samples.label[row, keep])


def test_window_longer_than_the_data_is_refused():
    """No window reaches before the panel's first row; the message says how far it reaches and what to do."""
    samples = random_samples(T=20)
    with pytest.raises(DataError, match=r"window is longer than the data: 5 steps of 2 rows reach 8 rows back.*row 8"):
        DayBatches(samples, steps=5, stride=2)
    assert len(DayBatches(samples.subset(np.arange(8, 20)), steps=5, stride=2)) == 12


def test_short_history_is_left_out_or_zero():
    """A stock listed inside the window is not scored by default, and has zeros before its listing with `zero`."""
    block = np.ones((6, 2, 1), dtype=np.float32)
    block[:4, 1] = np.nan
    samples = Samples(block, np.ones((6, 2), np.float32), np.ones((6, 2), bool), np.array([5]))
    (left_out,) = DayBatches(samples, steps=3).epoch()
    assert_array_equal(left_out.stocks, [[0]])
    (zero,) = DayBatches(samples, steps=3, short_history="zero").epoch()
    assert_array_equal(zero.stocks, [[0, 1]])
    assert_array_equal(zero.x[0, 1, :, 0].numpy(), [0, 1, 1])


def test_a_gap_inside_the_window_keeps_the_stock():
    """A suspension between the oldest step and the sample date becomes zeros; the stock is still scored."""
    block = np.ones((6, 1, 2), dtype=np.float32)
    block[3] = np.nan
    samples = Samples(block, np.ones((6, 1), np.float32), np.ones((6, 1), bool), np.array([4, 5]))
    assert samples.scorable(steps=3).tolist() == [[True], [False]]  # at row 5 the oldest step is the gap itself


def test_answers_do_not_depend_on_where_the_panel_begins():
    """Windows of a panel cut off before them are the same: only their own rows decide."""
    samples = random_samples(T=30, first=12)
    cut = Samples(samples.block[6:], samples.label[6:], samples.member[6:], samples.rows - 6)
    for whole, part in zip(
        DayBatches(samples, steps=4, stride=2).epoch(), DayBatches(cut, steps=4, stride=2).epoch(), strict=True
    ):
        assert_array_equal(whole.stocks, part.stocks)
        assert_array_equal(whole.x.numpy(), part.x.numpy())


def test_order_is_drawn_from_seed_and_epoch_alone():
    """The same seed and epoch give the same order, another epoch another one, and every day comes once an epoch."""
    samples = random_samples(T=40)

    def order(seed, epoch):
        batches = DayBatches(samples, seed=seed, shuffle=True, days_per_step=3)
        return np.concatenate([batch.days for batch in batches.epoch(epoch)]).tolist()

    assert order(1, 5) == order(1, 5)
    assert order(1, 5) != order(1, 6)
    assert order(1, 5) != order(2, 5)
    assert sorted(order(1, 5)) == sorted(order(1, 6))


def test_days_with_too_few_labels_are_in_no_training_batch():
    """`min_labels` drops the days on which the loss would not count."""
    samples = random_samples(T=12)
    batches = DayBatches(samples, min_labels=5)
    for batch in batches.epoch():
        assert batch.label_mask.sum() >= 5
    assert batches.days.tolist() == np.flatnonzero(batches.labelled.sum(axis=1) >= 5).tolist()


def test_memory_mapped_block_gives_the_same_batches(tmp_path):
    """A panel read from disk without loading it serves windows like one in memory."""
    samples = random_samples(first=4)
    np.save(tmp_path / "block.npy", samples.block)
    mapped = Samples(np.load(tmp_path / "block.npy", mmap_mode="r"), samples.label, samples.member, samples.rows)
    for a, b in zip(DayBatches(samples, steps=3).epoch(), DayBatches(mapped, steps=3).epoch(), strict=True):
        assert_array_equal(a.x.numpy(), b.x.numpy())
    assert_array_equal(estimator_rows(samples).x, estimator_rows(mapped).x)


def test_infinite_feature_is_named():
    """An infinite feature is refused with its number, stock and panel row, in both forms."""
    samples = random_samples(first=2)
    block = samples.block.copy()
    row, stock = 10, int(np.flatnonzero(samples.scorable()[8] & ~np.isnan(samples.label[10]))[0])
    block[row, stock, 1] = -np.inf
    wrong = Samples(block, samples.label, samples.member, samples.rows)
    message = f"Feature number 1 is infinite for stock number {stock} on panel row 10"
    with pytest.raises(DataError, match=message):
        estimator_rows(wrong)
    with pytest.raises(DataError, match=message):
        list(DayBatches(wrong, steps=2).epoch())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block": np.zeros((4, 3, 2))}, "must be a C-contiguous float32 array"),
        ({"block": np.zeros((4, 2, 3), np.float32).transpose(0, 2, 1)}, "must be a C-contiguous float32 array"),
        ({"label": np.zeros((4, 2), np.float32)}, r"label has shape \(4, 2\); the feature block needs \(4, 3\)"),
        ({"member": np.ones((4, 3))}, "member must be boolean"),
        ({"rows": np.array([2, 1])}, r"must increase within 0 to 3; given \[2, 1\]"),
        ({"rows": np.array([2, 4])}, r"must increase within 0 to 3; given \[2, 4\]"),
        ({"rows": np.array([-1, 2])}, "must increase within 0 to 3"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, message):
    """Shapes, types and rows are checked when samples are made, not when a fit fails."""
    good = {
        "block": np.zeros((4, 3, 2), np.float32),
        "label": np.zeros((4, 3), np.float32),
        "member": np.ones((4, 3), bool),
        "rows": np.array([1, 3]),
    }
    Samples(**good)
    with pytest.raises(DataError, match=message):
        Samples(**(good | change))


def test_nonsense_steps_are_refused():
    """Steps, stride and days a step begin at 1."""
    with pytest.raises(UsageError, match="must be 1 or more: 0, 1, 1"):
        DayBatches(random_samples(), steps=0)
