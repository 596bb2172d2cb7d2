"""The audit, the labels and the chain of transforms on real bars: holidays, suspensions, late listings."""

import datetime
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from alphaloom.audit import audit_components, audit_sample, default_components
from alphaloom.labels.base import labels
from alphaloom.labels.weekly_return import week_ends
from alphaloom.panel import Panel
from alphaloom.transforms.base import transforms
from alphaloom.transforms.chain import apply_cross_sectional

HOME = Path(os.environ.get("ALPHALOOM_MARKET_DATA", Path(__file__).parents[3] / "shared" / "data"))
BARS = HOME / "ashare_daily.parquet"

pytestmark = [
    pytest.mark.market,
    pytest.mark.skipif(not BARS.is_file(), reason=f"no {BARS}; set ALPHALOOM_MARKET_DATA"),
]


@pytest.fixture(scope="module")
def panel() -> Panel:
    """Bars of 2015 to 2016, a time of many suspensions, for every ninth stock, with the derived fields."""
    frame = pl.scan_parquet(BARS).filter(
        pl.col("date").is_between(datetime.date(2015, 1, 1), datetime.date(2016, 12, 31))
        & (pl.col("symbol").hash(seed=0) % 9 == 0)
    )
    raw = Panel.from_frame(frame.collect())
    listed = ~np.isnan(raw["close"])
    suspended = listed & ~(raw["volume"] > 0)
    trades = listed & ~suspended
    fields = {
        f"adj_{p}": np.where(trades, raw[p] * raw["adj_factor"], np.nan) for p in ("open", "high", "low", "close")
    }
    fields["adj_volume"] = np.where(trades, raw["volume"] / raw["adj_factor"], np.nan)
    fields["adj_vwap"] = np.where(trades, raw["amount"] / raw["volume"] * raw["adj_factor"], np.nan)
    fields["is_listed"] = np.where(listed, 1.0, np.nan)
    fields["is_suspended"] = np.where(listed, suspended, np.nan)
    fields["listed_days"] = np.where(listed, np.cumsum(listed, axis=0), np.nan)
    fields["log_cap"] = np.log(raw["amount"] / raw["turnover"])
    return raw.with_fields({k: v.astype(np.float32) for k, v in fields.items()}).with_universe(trades)


def test_components_pass_on_real_bars(panel: Panel) -> None:
    """Every component whose fields the data have passes; the others are listed with the field they lack."""
    parts = default_components()
    some = audit_sample(panel, rows=300, symbols=40)
    report = audit_components(some, parts.families, parts.transforms, parts.labels, parts.rules, cuts=3)
    assert report.passed, str(report.findings[:3])
    skipped = report.table().filter(pl.col("result") == "skipped")
    assert skipped["detail"].str.contains("the panel has no ").all()
    assert {"alpha158", "mad_clip", "forward_return", "weekly_return"} <= set(
        report.table().filter(pl.col("result") == "passed")["name"]
    )


def test_weeks_follow_the_real_calendar(panel: Panel) -> None:
    """Each traded ISO week has one end, its last trading day, holidays or not; weekly labels stand there alone."""
    frame = pl.DataFrame({"date": panel.dates})
    last = frame.group_by(pl.col("date").dt.iso_year(), pl.col("date").dt.week().alias("week")).agg(
        pl.col("date").max().alias("end")
    )
    ends = panel.dates[week_ends(panel.dates)]
    np.testing.assert_array_equal(ends, np.sort(last["end"].to_numpy()))
    out = labels.parse("weekly_return").compute(panel)
    days = panel.dates[~np.isnan(out).all(axis=1)]
    assert set(days) <= set(ends)
    assert len(days) >= len(ends) - 2


def test_seed_chain_standardises_real_features(panel: Panel) -> None:
    """After clip, fill, neutralisation and z-score, members have mean 0, deviation 1 and no size in them."""
    block = np.stack([panel["turnover"], panel["adj_vwap"] / panel["adj_close"]], axis=2).astype(np.float32)
    chain = [transforms.parse(name) for name in ("mad_clip", "industry_fill", "neutralise", "zscore")]
    out = apply_cross_sectional(chain, block, panel)
    for t in range(0, panel.dates.size, 40):
        for f in range(2):
            member = panel.universe[t] & np.isfinite(out[t, :, f])
            values = out[t, member, f].astype(float)
            assert member.sum() > 40
            assert values.mean() == pytest.approx(0, abs=1e-5)
            assert values.std(ddof=1) == pytest.approx(1, abs=1e-5)
            assert abs(np.corrcoef(values, panel["log_cap"][t, member])[0, 1]) < 1e-4
