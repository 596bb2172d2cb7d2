"""The 101 formulaic alphas by running the paper's own formulas on pandas frames; knows nothing of the factor language.

`Paper(panel).alpha(formula)` reads the formula as printed (arXiv:1601.00991, Appendix A.1) and applies the functions
of Appendix A.2, each written here in pandas or numpy with one frame (dates x symbols) in and one out. Values are
float32; sums, means and moments of a window are taken in float64, each window on its own. Fractional windows are
floored. A missing or infinite value is left out of windows and cross sections and makes a comparison or a choice
missing; a window needs a share of its values (the whole of them, as `DataFrame.rolling` does, unless said otherwise),
a sum or product of fewer values is scaled up to the length of the
window, and a cross section compares the members of the universe.
"""

import re
from collections.abc import Callable
from math import ceil, floor

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from alphaloom.panel import Panel

TOKEN = re.compile(r"\s*(\d+\.?\d*|\.\d+|[A-Za-z_][\w.]*|\|\||==|[-+*/^()<>?:,])")
Value = pd.DataFrame | float


def f32(frame: pd.DataFrame) -> pd.DataFrame:
    """Round to float32."""
    return frame.astype(np.float32)


def finite(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame in float64 with NaN for infinities."""
    return frame.astype(np.float64).replace([np.inf, -np.inf], np.nan)


def windows(x: pd.DataFrame, d: int) -> np.ndarray:
    """Return the last d rows of every row `[T, N, d]`, NaN before the first."""
    padded = np.vstack([np.full((d - 1, x.shape[1]), np.nan), finite(x).to_numpy()])
    return sliding_window_view(padded, d, axis=0)


def known(w: np.ndarray) -> np.ndarray:
    """Return the number of values of each window."""
    return np.isfinite(w).sum(-1)


def std(w: np.ndarray) -> np.ndarray:
    """Sample standard deviation, 0 over equal values."""
    return np.where(np.nanmax(w, -1) == np.nanmin(w, -1), 0.0, np.nanstd(w, -1, ddof=1))


def decay(w: np.ndarray) -> np.ndarray:
    """Mean with weights 1, 2, ... d."""
    weights = np.where(np.isnan(w), np.nan, np.arange(1, w.shape[-1] + 1))
    return np.nansum(w * weights, -1) / np.nansum(weights, -1)


def correlate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson correlation; missing where a series is constant."""
    flat = (np.nanmax(a, -1) == np.nanmin(a, -1)) | (np.nanmax(b, -1) == np.nanmin(b, -1))
    a, b = (w - np.nanmean(w, -1, keepdims=True) for w in (a, b))
    return np.where(flat, np.nan, np.nansum(a * b, -1) / np.sqrt(np.nansum(a * a, -1) * np.nansum(b * b, -1)))


def covary(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sample covariance."""
    a, b = (w - np.nanmean(w, -1, keepdims=True) for w in (a, b))
    return np.nansum(a * b, -1) / (known(a) - 1)


def raised(x: pd.DataFrame, y: Value) -> pd.DataFrame:
    """Return x ** y, missing where either is (a power of 0 and a base of 1 are not 1 there)."""
    return (x**y).where(x.notna() & (y.notna() if isinstance(y, pd.DataFrame) else True))


def days(d: Value) -> int:
    """Return the whole number of days of a window."""
    assert isinstance(d, float | int)
    return floor(d)


class Paper:
    """The inputs of Appendix A.3 from a panel's adjusted bars, and the interpreter of formulas.

    Args:
        panel: adjusted bars, amount, float_cap, industry; its universe is what cross sections compare.
        adv: field whose mean is adv{d}.
        share: of its values that a window needs, and never fewer than its statistic is defined for.
    """

    def __init__(self, panel: Panel, adv: str = "amount", share: float = 1.0) -> None:
        def frame(name: str) -> pd.DataFrame:
            return pd.DataFrame(panel[name].astype(np.float32))

        bars = ("open", "high", "low", "close", "vwap", "volume")
        self.data = {name: frame(f"adj_{name}") for name in bars}
        self.data["cap"] = frame("float_cap")
        self.data["returns"] = self.data["close"] / self.data["close"].shift(1) - np.float32(1)
        self.traded = self.data["volume"] if adv == "volume" else frame(adv)
        self.groups = frame("industry")
        self.members = pd.DataFrame(panel.universe)
        self.listed = frame("is_listed").eq(1.0)
        self.share = share
        rolled = {
            "sum": lambda x, d: self.over(x, d, lambda w: d * np.nanmean(w, -1)),
            "product": lambda x, d: self.over(x, d, lambda w: np.nanprod(w, -1) ** (d / known(w))),
            "stddev": lambda x, d: self.over(x, d, std, least=2),
            "decay_linear": lambda x, d: self.over(x, d, decay),
            "ts_min": lambda x, d: f32(finite(x).rolling(d, self.needed(d)).min()),
            "ts_max": lambda x, d: f32(finite(x).rolling(d, self.needed(d)).max()),
            "ts_rank": lambda x, d: f32(finite(x).rolling(d, self.needed(d)).rank(pct=True)),
            "ts_argmax": self.place,
            "ts_argmin": lambda x, d: self.place(-x, d),
            "delay": lambda x, d: x.shift(d),
            "delta": lambda x, d: x - x.shift(d),
        }
        self.functions: dict[str, Callable[..., pd.DataFrame]] = {
            **{name: (lambda x, d, f=function: f(x, days(d))) for name, function in rolled.items()},
            "correlation": lambda x, y, d: self.over(x, days(d), correlate, y, least=2),
            "covariance": lambda x, y, d: self.over(x, days(d), covary, y, least=2),
            "min": lambda x, y: rolled["ts_min"](x, days(y)) if isinstance(y, float) else np.minimum(x, y),
            "max": lambda x, y: rolled["ts_max"](x, days(y)) if isinstance(y, float) else np.maximum(x, y),
            "abs": np.abs,
            "log": np.log,
            "sign": np.sign,
            "signedpower": raised,
            "rank": self.rank,
            "scale": lambda x: f32(finite(x).div(finite(x).where(self.members).abs().sum(axis=1), axis=0)),
            "indneutralize": self.neutralize,
        }

    def needed(self, d: int, least: int = 1) -> int:
        """Return how many values a window of d rows needs."""
        return max(least, ceil(round(self.share * d, 9)))

    def over(
        self, x: pd.DataFrame, d: int, reduce: Callable[..., np.ndarray], y: pd.DataFrame | None = None, least: int = 1
    ) -> pd.DataFrame:
        """Return `reduce` over the last axis of the windows of one frame, or of the pairs known in both."""
        a = windows(x, d)
        pair = (
            [a]
            if y is None
            else [np.where(np.isnan(windows(y, d)), np.nan, a), np.where(np.isnan(a), np.nan, windows(y, d))]
        )
        enough = known(pair[0]) >= self.needed(d, least)
        out = np.full(x.shape, np.nan)
        out[enough] = reduce(*(w[enough] for w in pair))
        return f32(pd.DataFrame(out, index=x.index, columns=x.columns))

    def place(self, x: pd.DataFrame, d: int) -> pd.DataFrame:
        """Return where the largest value stands, 1 the oldest row since the listing."""
        w = windows(x, d)
        enough = known(w) >= self.needed(d)
        age = np.cumsum(self.listed.to_numpy(), axis=0)
        unlisted = np.maximum(d - age, 0)
        out = np.where(enough, np.where(np.isnan(w), -np.inf, w).argmax(-1) + 1.0 - unlisted, np.nan)
        return f32(pd.DataFrame(out, index=x.index, columns=x.columns))

    def rank(self, x: pd.DataFrame) -> pd.DataFrame:
        """Return rank / number among the members of the date; a stock outside takes the place where it would stand."""
        values = finite(x).to_numpy()
        among = np.where(self.members, values, np.nan)[:, None, :]
        below, equal = (among < values[:, :, None]).sum(-1), (among == values[:, :, None]).sum(-1)
        count = np.isfinite(among).sum(-1)
        place = np.clip(below + (equal + 1) / 2, 1, count)
        ranks = np.where(np.isnan(values) | (count == 0), np.nan, place) / count
        return f32(pd.DataFrame(ranks, index=x.index, columns=x.columns))

    def neutralize(self, x: pd.DataFrame, level: str) -> pd.DataFrame:
        """Return x less the mean of its group's members; every level is the industry."""
        assert level.startswith("IndClass.")
        x = finite(x)
        out = x * np.nan
        for code in np.unique(self.groups.to_numpy()[self.groups.notna().to_numpy()]):
            inside = self.groups == code
            mean = x.where(inside & self.members).mean(axis=1)
            out = out.where(~inside, x.sub(mean, axis=0))
        return f32(out)

    def alpha(self, formula: str) -> np.ndarray:
        """Return the alpha float32 `[T, N]` of a formula as printed; NaN where infinite or not listed."""
        self.tokens = TOKEN.findall(formula)
        assert "".join(self.tokens) == re.sub(r"\s", "", formula), "a character was not understood"
        with np.errstate(all="ignore"):
            value = self.choice()
        assert not self.tokens
        assert isinstance(value, pd.DataFrame)
        assert (value.dtypes == np.float32).all()
        return value.where(self.listed & np.isfinite(value)).to_numpy()

    def next_is(self, *wanted: str) -> str:
        """Take the next token and return it if it is one of these, else return nothing."""
        return self.tokens.pop(0) if self.tokens and self.tokens[0] in wanted else ""

    def choice(self) -> Value:
        """Condition ? x : y."""
        condition = self.either()
        if not self.next_is("?"):
            return condition
        x = self.choice()
        assert self.next_is(":")
        y = self.choice()
        assert isinstance(condition, pd.DataFrame)
        chosen = np.where(condition == 1, x, y).astype(np.float32)
        return pd.DataFrame(chosen, index=condition.index, columns=condition.columns).where(condition.notna())

    def either(self) -> Value:
        """X || y."""
        value = self.comparison()
        while self.next_is("||"):
            other = self.comparison()
            value = f32((value + other).clip(upper=1))
        return value

    def comparison(self) -> Value:
        """X < y, x == y: 1, 0, or missing."""
        left = self.terms()
        sign = self.next_is("<", "==")
        if not sign:
            return left
        right = self.terms()
        known = np.isfinite(left) & np.isfinite(right)
        return f32(left < right if sign == "<" else left == right).where(known)

    def terms(self) -> Value:
        """X + y - z."""
        value = self.factors()
        while sign := self.next_is("+", "-"):
            other = self.factors()
            value = value + other if sign == "+" else value - other
        return value

    def factors(self) -> Value:
        """X * y / z."""
        value = self.powers()
        while sign := self.next_is("*", "/"):
            other = self.powers()
            value = value * other if sign == "*" else value / other
        return value

    def powers(self) -> Value:
        """X ^ y."""
        value = self.item()
        return raised(value, self.powers()) if self.next_is("^") else value

    def item(self) -> Value:
        """A number, a name, a call, or something in brackets."""
        if self.next_is("-"):
            return -self.item()
        if self.next_is("("):
            value = self.choice()
            assert self.next_is(")")
            return value
        token = self.tokens.pop(0)
        if token[0].isdigit() or token[0] == ".":
            return float(token)
        name = token.lower()
        if not self.next_is("("):
            return self.named(name)
        arguments: list[Value | str] = []
        while not self.next_is(")"):
            if self.tokens[0].startswith("IndClass."):
                arguments.append(self.tokens.pop(0))
            else:
                arguments.append(self.choice())
            self.next_is(",")
        return self.functions[name](*arguments)

    def named(self, name: str) -> pd.DataFrame:
        """Return an input: adv{d} is the mean of what was traded in d days."""
        if name.startswith("adv"):
            return self.over(self.traded, int(name[3:]), lambda w: np.nanmean(w, -1))
        return self.data[name]
