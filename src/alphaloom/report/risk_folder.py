"""A fitted factor risk model as a folder of Parquet tables, and back."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from alphaloom.data.parquet_files import read_parquet
from alphaloom.errors import DataError, UnsafeFileError, UsageError
from alphaloom.report.files import write_frame
from alphaloom.risk.covariance import FactorCovariance
from alphaloom.risk.factor_risk import FactorRisk
from alphaloom.risk.regression import Cells, CrossSections
from alphaloom.risk.specific import SpecificRisk
from alphaloom.typing import Array, Dates, Doubles, PathLike, Symbols

FORM = 1
"""Form of the folder; another one is refused."""
TABLES = (
    "days", "exposures", "specific", "factor_returns", "covariance", "coverage", "left_out", "bias", "bias_series",
)  # fmt: skip
"""Its Parquet files."""


@dataclass(frozen=True, eq=False)
class RiskFolder:
    """What a folder holds: the model, how it came about, and how its forecasts were tested."""

    model: FactorRisk
    meta: Mapping[str, Any]
    bias: pl.DataFrame
    """`BiasTest.table`."""
    bias_series: pl.DataFrame
    """`BiasTest.series`."""


def check_place(folder: PathLike, *, overwrite: bool) -> None:
    """Refuse a folder that would have to be replaced, before any work.

    Raises:
        UsageError: it exists, and `overwrite` is false or it holds something else than a risk model.
    """
    folder = Path(folder)
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / "covariance.parquet").is_file():
        raise UsageError(f"{folder} exists and holds no risk model; choose another place.")
    if not overwrite:
        raise UsageError(f"{folder} holds a risk model already; --overwrite replaces it.")


def write_risk(folder: PathLike, held: RiskFolder, *, start: int = 0) -> None:
    """Write a model's days from row `start` on, aside first, then renamed: never half a model.

    `exposures` and `specific` have a row for each listed stock and day, `factor_returns` for each factor and day,
    `covariance` for each pair of factors and day, each pair once; `days`, `coverage`, `left_out`, `bias`, `bias_series`
    and `meta.json` say the rest. Volatilities and covariances are of a day.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        made = aside / folder.name
        for name, frame in _frames(held, start).items():
            write_frame(made / f"{name}.parquet", frame)
        model = held.model
        facts = {
            "form": FORM,
            "factors": list(model.factors),
            "industries": model.regressions.industries,
            "symbols": model.symbols.tolist(),
            **held.meta,
        }
        (made / "meta.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def read_risk(folder: PathLike) -> RiskFolder:
    """Return the model in a folder, on its own dates and symbols.

    Raises:
        DataError: the folder holds no risk model, or one of another form.
        UnsafeFileError: a file is damaged.
    """
    folder = Path(folder)
    file = folder / "meta.json"
    if not file.is_file():
        raise DataError(f"{folder} holds no risk model (no meta.json); make one with `alphaloom risk fit`.")
    try:
        meta = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UnsafeFileError(f"{file} is damaged: {error}. Fit the model again.") from None
    if meta.get("form") != FORM:
        raise DataError(
            f"{folder} holds a risk model of form {meta.get('form')!r}; this version reads {FORM}. Fit it again."
        )
    frames = {name: read_parquet(folder / f"{name}.parquet") for name in TABLES}
    return RiskFolder(_model(meta, frames), meta, frames["bias"], frames["bias_series"])


def _frames(held: RiskFolder, start: int) -> dict[str, pl.DataFrame]:
    model = held.model
    found, cells = model.regressions, model.cells
    T, P = model.dates.size, found.industries
    days = model.dates[start:]
    rows, columns = np.nonzero(np.isfinite(cells.styles[start:]).all(axis=2))
    keys = {"date": _dates(days[rows]), "symbol": pl.Series(model.symbols.tolist())[columns]}
    at = (rows + start, columns)
    names = pl.Series([*found.factors[1 : 1 + P], None], dtype=pl.String)
    exposures = {
        **keys,
        "industry": names[np.where(cells.industry[at] < 0, P, cells.industry[at])] if P else _nothing(rows.size),
        "cap": _floats(cells.cap[at]),
        "member": cells.members[at],
        **{name: cells.styles[*at, q] for q, name in enumerate(found.factors[1 + P :])},
    }
    specific = {
        **keys,
        "return": _floats(found.specific[at]),
        "volatility": _floats(model.specific.volatility[at]),
        "own": _floats(model.specific.own[at]),
    }
    K, D = len(found.factors), T - start
    counts = np.full((D, K), np.nan)
    counts[:, 1 : 1 + P] = found.members[start:]
    inflation = np.full((D, K), np.nan)
    inflation[:, 1 + P :] = found.inflation[start:]
    factor_returns = {
        "date": _dates(np.repeat(days, K)),
        "factor": list(found.factors) * D,
        "kind": list(found.kinds) * D,
        "return": _floats(found.returns[start:].ravel()),
        "error": _floats(found.errors[start:].ravel()),
        "inflation": _floats(inflation.ravel()),
        "members": _floats(counts.ravel()).cast(pl.Int32),
    }
    a, b = np.triu_indices(K)
    values = model.factor.values[start:, a, b]
    day, pair = np.nonzero(np.isfinite(values))
    factors = pl.Series(list(found.factors))
    covariance = {
        "date": _dates(days[day]),
        "factor": factors[a[pair]],
        "other": factors[b[pair]],
        "covariance": values[day, pair],
    }
    per_day = {
        "date": _dates(days),
        "stocks": found.stocks[start:],
        "r2": _floats(found.r2[start:]),
        "factor_multiplier": model.factor.multiplier[start:],
        "factor_bias": _floats(model.factor.bias[start:]),
        "specific_multiplier": model.specific.multiplier[start:],
        "specific_bias": _floats(model.specific.bias[start:]),
    }
    first = model.dates[start].astype(object)
    return {
        "exposures": pl.DataFrame(exposures),
        "specific": pl.DataFrame(specific),
        "factor_returns": pl.DataFrame(factor_returns),
        "covariance": pl.DataFrame(covariance),
        "days": pl.DataFrame(per_day),
        "coverage": model.coverage.filter(pl.col("date") >= first),
        "left_out": model.left_out,
        "bias": held.bias,
        "bias_series": held.bias_series,
    }


def _model(meta: Mapping[str, Any], frames: Mapping[str, pl.DataFrame]) -> FactorRisk:
    days, symbols = frames["days"], np.array(meta["symbols"], dtype=np.str_)
    factors, P = tuple(meta["factors"]), int(meta["industries"])
    dates = days["date"].to_numpy().astype("datetime64[D]")
    T, K = dates.size, len(factors)
    grid = _Grid(dates, symbols)
    exposures, specific = frames["exposures"], frames["specific"]
    styles = np.stack([grid.fill(exposures, name) for name in factors[1 + P :]], axis=2).astype(np.float32)
    code = {name: k for k, name in enumerate(factors[1 : 1 + P])}
    coded = exposures.with_columns(
        pl.col("industry").replace_strict(code, default=-1, return_dtype=pl.Float64)
        if P
        else pl.lit(-1.0).alias("industry")
    )
    industry = np.nan_to_num(grid.fill(coded, "industry"), nan=-1.0).astype(np.int64)
    cells = Cells(
        np.ascontiguousarray(styles), industry, grid.fill(exposures, "cap"), grid.fill(exposures, "member") == 1
    )
    by_factor = frames["factor_returns"]
    table = {name: _column(by_factor, name).reshape(T, K) for name in ("return", "error", "inflation", "members")}
    regressions = CrossSections(
        factors=factors,
        industries=P,
        returns=table["return"],
        errors=table["error"],
        noise=np.zeros((T, K, K)),
        specific=grid.fill(specific, "return").astype(np.float32),
        stocks=days["stocks"].to_numpy(),
        r2=_column(days, "r2"),
        inflation=table["inflation"][:, 1 + P :],
        members=table["members"][:, 1 : 1 + P].astype(np.int64),
    )
    values = np.full((T, K, K), np.nan)
    place = {name: k for k, name in enumerate(factors)}
    pairs = frames["covariance"]
    t = np.searchsorted(dates, pairs["date"].to_numpy().astype("datetime64[D]"))
    a, b = (pairs[side].replace_strict(place, return_dtype=pl.Int64).to_numpy() for side in ("factor", "other"))
    values[t, a, b] = values[t, b, a] = pairs["covariance"].to_numpy()
    return FactorRisk(
        dates=dates,
        symbols=symbols,
        cells=cells,
        regressions=regressions,
        factor=FactorCovariance(values, _column(days, "factor_multiplier"), _column(days, "factor_bias")),
        specific=SpecificRisk(
            grid.fill(specific, "volatility").astype(np.float32),
            grid.fill(specific, "own").astype(np.float32),
            _column(days, "specific_multiplier"),
            _column(days, "specific_bias"),
        ),
        coverage=frames["coverage"],
        left_out=frames["left_out"],
    )


class _Grid:
    """Long columns back on dates and symbols."""

    def __init__(self, dates: Dates, symbols: Symbols) -> None:
        self._dates, self._shape = dates, (dates.size, symbols.size)
        self._place = {name: n for n, name in enumerate(symbols.tolist())}

    def fill(self, frame: pl.DataFrame, name: str) -> Doubles:
        """Return a column `[T, N]`, NaN where the frame has no row or no value."""
        out = np.full(self._shape, np.nan)
        t = np.searchsorted(self._dates, frame["date"].to_numpy().astype("datetime64[D]"))
        n = frame["symbol"].replace_strict(self._place, return_dtype=pl.Int64).to_numpy()
        out[t, n] = _column(frame, name)
        return out


def _column(frame: pl.DataFrame, name: str) -> Doubles:
    return frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _dates(days: Dates) -> pl.Series:
    return pl.Series(days.astype("datetime64[D]")).cast(pl.Date)


def _floats(values: Array) -> pl.Series:
    return pl.Series(values).fill_nan(None)


def _nothing(size: int) -> pl.Series:
    return pl.Series([None] * size, dtype=pl.String)
