"""Chains of transforms: splitting, fitting on the window alone, applying, and states on disk."""

import numpy as np
import pytest
from panels import random_panel

from alphaloom.errors import AlignmentError, DataError, MissingFieldError, UnsafeFileError, UsageError
from alphaloom.panel import Panel
from alphaloom.transforms.base import transforms
from alphaloom.transforms.chain import (
    apply_chain,
    apply_cross_sectional,
    fit_chain,
    load_states,
    required_fields,
    save_states,
    split_chain,
)

SEED = ("mad_clip", "industry_fill", "neutralise", "zscore")
MIXED = ("mad_clip", "robust_zscore", {"name": "fill", "value": 0.0}, "standardise")


def chain(names: tuple) -> list:
    """Return the transforms described."""
    return [transforms.parse(name) for name in names]


@pytest.fixture
def market() -> tuple[Panel, np.ndarray]:
    """A panel and a block on it with holes."""
    panel = random_panel(40, 25, 3)
    rng = np.random.default_rng(0)
    block = rng.normal(2, 3, (40, 25, 5)).astype(np.float32)
    block[rng.random(block.shape) < 0.1] = np.nan
    return panel, block


def test_split_at_the_first_fitted_transform() -> None:
    """What stands before the first fitted transform can be applied once for all windows; the rest cannot."""
    first, rest = split_chain(chain(MIXED))
    assert [t.name for t in first] == ["mad_clip"]
    assert [t.name for t in rest] == ["robust_zscore", "fill", "standardise"]
    assert [len(part) for part in split_chain(chain(SEED))] == [4, 0]


def test_required_fields_are_those_of_the_settings() -> None:
    """Only fields that the chosen settings read are asked for, each once."""
    assert required_fields(chain(SEED)) == ["industry", "log_cap"]
    only_size = {"name": "neutralise", "industry": False, "regressors": ["log_cap"]}
    assert required_fields([transforms.parse(only_size)]) == ["log_cap"]


@pytest.mark.parametrize("threads", [1, 3])
def test_chunks_and_threads_change_nothing(market: tuple[Panel, np.ndarray], threads: int, monkeypatch) -> None:
    """Working in chunks of few dates, by any number of threads, gives the bits of one pass over all dates."""
    panel, block = market
    expected = block.copy()
    for transform in chain(SEED):
        transform.apply(expected, panel, {})
    monkeypatch.setattr("alphaloom.transforms.chain._CHUNK_BYTES", 3 * 25 * 5 * 4)
    out = apply_cross_sectional(chain(SEED), block, panel, threads=threads)
    np.testing.assert_array_equal(out, expected)


def test_the_callers_block_is_kept_unless_in_place(market: tuple[Panel, np.ndarray]) -> None:
    """A copy is worked on by default, also of a read-only block; in place, the very block is returned."""
    panel, block = market
    kept = block.copy()
    block.flags.writeable = False
    out = apply_cross_sectional(chain(SEED), block, panel)
    np.testing.assert_array_equal(block, kept)
    with pytest.raises(UsageError, match="leave in_place off"):
        apply_cross_sectional(chain(SEED), block, panel, in_place=True)
    mine = kept.copy()
    assert apply_cross_sectional(chain(SEED), mine, panel, in_place=True) is mine
    np.testing.assert_array_equal(mine, out)


@pytest.mark.parametrize("rows", [slice(5, 25), np.arange(5, 25, 5)])
def test_states_come_from_the_window_alone(market: tuple[Panel, np.ndarray], rows) -> None:
    """Whatever stands outside the window's dates, states are the same; what stands inside changes them."""
    panel, block = market
    before = block.copy()
    states = fit_chain(chain(MIXED), block, panel, rows)
    np.testing.assert_array_equal(block, before)
    outside = np.ones(40, dtype=bool)
    outside[rows] = False
    other = block.copy()
    other[outside] = 1e6
    for a, b in zip(states, fit_chain(chain(MIXED), other, panel, rows), strict=True):
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])
    other = block.copy()
    other[~outside] += 1
    changed = fit_chain(chain(MIXED), other, panel, rows)
    assert not np.array_equal(states[1]["median"], changed[1]["median"])


def test_each_transform_is_fitted_on_what_those_before_leave(market: tuple[Panel, np.ndarray]) -> None:
    """The second fitted transform's state is that of the window after the first one."""
    panel, block = market
    states = fit_chain(chain(MIXED), block, panel, slice(0, 20))
    work, window = block[:20].copy(), panel.rows(0, 20)
    for transform, state in list(zip(chain(MIXED), states, strict=True))[:3]:
        transform.apply(work, window, state)
    x = work[window.universe].astype(np.float64)
    np.testing.assert_allclose(states[3]["mean"], np.nanmean(x, axis=0), rtol=1e-5, atol=1e-6)
    assert [sorted(s) for s in states] == [[], ["mad", "median"], [], ["mean", "std"]]
    out = apply_chain(chain(MIXED), states, block, panel)
    fitted = out[:20][window.universe].astype(np.float64)
    np.testing.assert_allclose(np.nanmean(fitted, axis=0), 0, atol=1e-5)


def test_states_round_trip_through_disk(market: tuple[Panel, np.ndarray], tmp_path) -> None:
    """Saved and loaded states give the same bits, and nothing else is left in the folder."""
    panel, block = market
    states = fit_chain(chain(MIXED), block, panel, slice(0, 20))
    save_states(tmp_path / "states.npz", chain(MIXED), states)
    loaded = load_states(tmp_path / "states.npz", chain(MIXED))
    out = apply_chain(chain(MIXED), states, block, panel)
    np.testing.assert_array_equal(apply_chain(chain(MIXED), loaded, block, panel), out)
    assert [path.name for path in tmp_path.iterdir()] == ["states.npz"]


def test_wrong_state_files_are_refused(market: tuple[Panel, np.ndarray], tmp_path) -> None:
    """A missing file, one of another chain, a damaged one and one with a pickle inside are told apart."""
    panel, block = market
    path = tmp_path / "states.npz"
    with pytest.raises(DataError, match="does not exist"):
        load_states(path, chain(MIXED))
    save_states(path, chain(MIXED), fit_chain(chain(MIXED), block, panel, slice(0, 20)))
    with pytest.raises(DataError, match=r"the recipe's transforms are \['mad_clip'\]"):
        load_states(path, chain(("mad_clip",)))
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UnsafeFileError, match="damaged"):
        load_states(path, chain(MIXED))
    np.savez(path, transforms=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UnsafeFileError, match="no archive of plain arrays"):
        load_states(path, chain(MIXED))


def test_a_column_without_values_in_the_window_is_named(market: tuple[Panel, np.ndarray]) -> None:
    """A fitted transform cannot learn from nothing: column, window and way out are in the message."""
    panel, block = market
    block[:20, :, 3] = np.nan
    with pytest.raises(DataError, match=r"robust_zscore found no median for 1 of the columns .* first KMID"):
        fit_chain(chain(MIXED), block, panel, slice(0, 20), names=["A", "B", "C", "KMID", "E"])
    with pytest.raises(DataError, match="0 dates and no universe member"):
        fit_chain(chain(MIXED), block, panel, slice(7, 7))


def test_misuse_is_refused(market: tuple[Panel, np.ndarray]) -> None:
    """Fitted transforms without states, other axes, other dtypes and absent fields stop before any work."""
    panel, block = market
    with pytest.raises(UsageError, match="robust_zscore, standardise must be fitted"):
        apply_cross_sectional(chain(MIXED), block, panel)
    with pytest.raises(UsageError, match="4 transforms need as many states; given 0"):
        apply_chain(chain(MIXED), [], block, panel)
    with pytest.raises(AlignmentError, match=r"it is \(39, 25, 5\)"):
        apply_cross_sectional(chain(SEED), block[:39], panel)
    with pytest.raises(DataError, match="holds float32; it is float64"):
        apply_cross_sectional(chain(SEED), block.astype(float), panel)
    with pytest.raises(MissingFieldError, match="no field 'industry'"):
        apply_cross_sectional(chain(SEED), block, panel.select(["log_cap"]))
