"""A full evaluation of a signal against alphalens' full tear sheet, and of the whole market over ten years.

Both start from scores and prices and end with IC, quantile returns, turnover and rank autocorrelation at three
horizons; alphaloom's adds tests and intervals of every mean, alphalens' its pictures. The page of alphaloom is a row of
its own.
"""

import argparse
import contextlib
import io
import statistics
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alphaloom.evaluation.forward import forward_by_days
from alphaloom.evaluation.signal import SignalReport, evaluate_signal
from alphaloom.report.write import write_signal_report
from benchmarks.alpha158 import cpu
from benchmarks.record import save

HORIZONS = (1, 5, 10)
MARKET_HORIZONS = (1, 5, 10, 20, 60)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--stocks", type=int, default=300)
    parser.add_argument("--dates", type=int, default=750)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--market-stocks", type=int, default=4300)
    parser.add_argument("--market-dates", type=int, default=2500)
    args = parser.parse_args(arguments)
    sample = made(args.dates, args.stocks, HORIZONS)
    large = made(args.market_dates, args.market_stocks, MARKET_HORIZONS)
    ours(*made(40, 40, HORIZONS), HORIZONS)  # compiles
    times: dict[str, list[float]] = {"alphaloom": [], "alphaloom, with its page": [], "alphalens full tear sheet": []}
    peer = Alphalens(*sample)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        for _ in range(args.repeats):
            times["alphaloom"].append(cpu(lambda: ours(*sample, HORIZONS)))
            times["alphaloom, with its page"].append(
                cpu(lambda: write_signal_report(ours(*sample, HORIZONS), page, title="signal"))
            )
            times["alphalens full tear sheet"].append(cpu(peer.sheet))
    report, ic = ours(*sample, HORIZONS), peer.ic()
    apart = max(np.nanmax(np.abs(report.horizons[str(h)].series.rank_ic - ic[:, k])) for k, h in enumerate(HORIZONS))
    started, used = time.perf_counter(), time.process_time()
    ours(*large, MARKET_HORIZONS)
    wall, used = time.perf_counter() - started, time.process_time() - used
    first = statistics.median(times["alphaloom"])
    rows = [
        {"program": name, "CPU seconds": statistics.median(found), "times alphaloom": statistics.median(found) / first}
        for name, found in times.items()
    ]
    facts = {
        "ratio": rows[-1]["times alphaloom"],
        "market_seconds": wall,
        "market_cpu_seconds": used,
        "largest_difference": float(apart),
        "stocks": args.stocks,
        "dates": args.dates,
    }
    near, far = (", ".join(map(str, horizons)) for horizons in (HORIZONS, MARKET_HORIZONS))
    notes = [
        (
            f"{args.stocks} stocks x {args.dates} dates, horizons {near}; one process, one thread; medians of "
            f"{args.repeats} runs in turn. IC differs by at most {apart:.0e} on any date, at "
            "returns that agree to seven digits: prices and comparisons are float32."
        ),
        f"{args.market_stocks:,} stocks x {args.market_dates:,} dates, horizons {far}: {wall:.1f} s, {used:.1f} CPU s.",
    ]
    save("evaluation", "Evaluation of a signal: CPU time of one core", rows, facts, notes)
    return 0


def made(T: int, N: int, horizons: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return slow scores `[T, N]`, prices of `T + max(horizons)` days, and their dates."""
    rng = np.random.default_rng(1)
    days = T + max(horizons)
    price = 10 * np.exp(np.cumsum(0.02 * rng.standard_normal((days, N), dtype=np.float32), axis=0))
    score = 0.1 * np.cumsum(rng.standard_normal((T, N), dtype=np.float32), axis=0)
    dates = np.busday_offset("2012-01-04", np.arange(days), roll="forward").astype("datetime64[D]")
    return score, price, dates


def ours(score: np.ndarray, price: np.ndarray, dates: np.ndarray, horizons: Sequence[int]) -> SignalReport:
    """Return alphaloom's report; filled at the score's own close, as alphalens has it."""
    rows = np.arange(score.shape[0])
    return evaluate_signal(score, forward_by_days(price, dates, rows, horizons, lag=0), dates[rows])


class Alphalens:
    """Alphalens on the same scores and prices, its pictures drawn and thrown away."""

    def __init__(self, score: np.ndarray, price: np.ndarray, dates: np.ndarray) -> None:
        import matplotlib as mpl
        import pandas as pd

        mpl.use("Agg")
        warnings.simplefilter("ignore")
        names = [f"S{n:04d}" for n in range(score.shape[1])]
        self.prices = pd.DataFrame(price, index=pd.DatetimeIndex(dates), columns=names)
        index = pd.MultiIndex.from_product([self.prices.index[: score.shape[0]], names], names=["date", "asset"])
        self.factor = pd.Series(score.ravel(), index=index)

    def sheet(self) -> None:
        """Make and drop the full tear sheet."""
        import matplotlib.pyplot as plt
        from alphalens.tears import create_full_tear_sheet

        with contextlib.redirect_stdout(io.StringIO()):
            create_full_tear_sheet(self._clean())
        plt.close("all")

    def ic(self) -> np.ndarray:
        """Return its IC, one column a horizon."""
        from alphalens.performance import factor_information_coefficient

        with contextlib.redirect_stdout(io.StringIO()):
            return np.asarray(factor_information_coefficient(self._clean()).to_numpy())

    def _clean(self) -> object:
        from alphalens.utils import get_clean_factor_and_forward_returns

        return get_clean_factor_and_forward_returns(self.factor, self.prices, periods=HORIZONS, max_loss=1.0)
