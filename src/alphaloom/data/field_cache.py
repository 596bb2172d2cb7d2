"""FieldCache: derived fields of a store, kept as dense arrays that grow with the store; disposable."""

import fcntl
import hashlib
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from alphaloom.data import dense, derive, grid, growth, market_rules, price_limits, rule_records
from alphaloom.data import fields as catalogue
from alphaloom.data.dense import DenseFolder
from alphaloom.data.derive import CONTEXT, Derivation
from alphaloom.data.fields import make_field
from alphaloom.data.grid import Grid, Past, axes_table
from alphaloom.data.growth import content_until
from alphaloom.data.store import Store
from alphaloom.panel import Panel
from alphaloom.typing import Array, Bools, Floats

KEPT = 2
"""Cached states of a store that are kept; older ones are removed."""
LONGEST = 500
"""Rows that are derived again at most to extend a cache; with more the fields are derived afresh."""
UNLISTED_TOO = frozenset({"frame", "index", "macro"})
"""Prefixes of fields that may have values where a stock is not listed: with new stocks they are derived afresh."""

log = logging.getLogger(__name__)


class FieldCache:
    """Fields of one state of a store, over all its dates.

    When the store is an earlier cached state plus later dates, the fields of that state are extended: only the new
    rows, and the days for which a returning stock had no row, are derived. The result is that of a derivation over the
    whole store, bit for bit. After any other change of the store fields are derived afresh.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.place = store.cache_folder() / f"fields-{store.fingerprint()}-{_code_version()}"
        self.folder = self._open() if self._is_writable() else None

    def panel(self, names: list[str]) -> Panel:
        """Return the fields over the whole store."""
        found = {name: self._field(name) for name in names}
        arrays = {name: values for name, (values, _) in found.items()}
        categories = {name: texts for name, (_, texts) in found.items() if texts is not None}
        if self.folder is None:
            axes = self.derivation.grid
            return Panel(axes.dates, axes.symbols, self.derivation.traded, arrays, categories)
        return Panel(self.folder.dates, self.folder.symbols, self.folder.universe(), arrays, categories)

    @cached_property
    def derivation(self) -> Derivation:
        """The derivation over the whole store, for fields that are not kept yet."""
        return Derivation(self.store)

    def _field(self, name: str) -> tuple[Floats, tuple[str, ...] | None]:
        if self.folder is None or not self.folder.has(name):
            values, texts = make_field(self.derivation, name)
            values = np.ascontiguousarray(values, dtype=np.float32)
            if self.folder is None:
                return values, texts
            self.folder.keep(name, values, texts)
        return self.folder.field(name), self.folder.texts(name)

    def _is_writable(self) -> bool:
        try:
            self.place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.place.parent):
                return True
        except OSError as error:
            log.warning(
                "Panels of %s are computed without a cache: %s cannot be written (%s). "
                "Set ALPHALOOM_CACHE to a writable folder.",
                self.store.path,
                self.place.parent,
                error.strerror,
            )
            return False

    def _open(self) -> DenseFolder | None:
        with _alone(self.place.parent):
            if DenseFolder.open(self.place) is None:
                for left in [self.place, *self.place.parent.glob(".fields-*")]:
                    shutil.rmtree(left, ignore_errors=True)
                states = sorted(self.place.parent.glob("fields-*"), key=lambda item: item.stat().st_mtime, reverse=True)
                usable = [DenseFolder.open(item) for item in states if item.name.endswith(f"-{_code_version()}")]
                if not any(_extend(self.store, old, self.place) for old in usable if old is not None):
                    self._begin()
                for item in states[KEPT - 1 :]:
                    shutil.rmtree(item, ignore_errors=True)
        return DenseFolder.open(self.place)

    def _begin(self) -> None:
        axes = self.derivation.grid
        meta = {"content": content_until(self.store, axes.dates, axes.symbols)}
        with DenseFolder.making(self.place, axes.dates, axes.symbols, meta) as folder:
            folder.keep_universe(self.derivation.traded)


def _extend(store: Store, old: DenseFolder, place: Path) -> bool:
    """Make the folder of a store from that of an earlier state, if the store only grew; return whether it did."""
    if content_until(store, old.dates, old.symbols) != old.meta["content"]:
        return False
    past = _load_past(old) or Derivation(store).past(old.dates.size)
    offset = _first_row(store, past)
    if old.dates.size - offset > LONGEST:
        return False
    derivation = Derivation(store, Grid(store, past, offset))
    axes = derivation.grid
    columns = np.searchsorted(axes.symbols, old.symbols)
    later = slice(old.dates.size - offset, None)
    gaps = _gaps(axes, past)
    meta = {"content": content_until(store, axes.calendar, axes.symbols)}
    with DenseFolder.making(place, axes.calendar, axes.symbols, meta) as folder:
        folder.extend_universe(old, derivation.traded[later], columns)
        for name in old.fields():
            if name.partition(":")[0] in UNLISTED_TOO and columns.size < axes.symbols.size:
                continue
            values, texts = make_field(derivation, name)
            if texts != old.texts(name):
                continue
            values = np.ascontiguousarray(values, dtype=np.float32)
            earlier = _corrected(old.field(name)[offset:], columns, values, gaps) if gaps.any() else None
            folder.extend(old, name, values[later], columns, earlier)
        _save_past(folder, derivation.past(axes.calendar.size))
    return True


def _first_row(store: Store, past: Past) -> int:
    """Return the row from which on a derivation must read: `CONTEXT` rows before the first one that can change.

    Of a stock with new rows that is the row after its last one; what carries over from before that is in the past.
    """
    last = past.dates[-1]
    rows = store.read(axes_table(store), ["date", "symbol"], since=last.item())
    returning = np.isin(past.symbols, rows["symbol"].filter(rows["date"] > last.item()).unique().to_numpy().astype(str))
    rows_held = past.last[returning & (past.last >= 0)]
    return max(0, min(past.dates.size - 1, int(rows_held.min(initial=past.dates.size)) + 1 - CONTEXT))


def _gaps(axes: Grid, past: Past) -> Bools:
    """Return the old dates of the grid on which a stock was not listed and is, as it has rows again `[T_old, N]`."""
    rows = np.arange(axes.offset, past.dates.size)[:, None]
    before = axes.from_past(past.last, -1)
    return (before >= 0) & (rows > before) & axes.listed[: len(rows)]


def _corrected(held: Floats, columns: Array, values: Floats, gaps: Bools) -> Floats | None:
    """Return the old rows with the gaps as derived anew; None when they are what is held, bit for bit."""
    rows = np.full((len(held), values.shape[1]), np.nan, dtype=np.float32)
    rows[:, columns] = held
    if np.array_equal(rows[gaps].view(np.uint32), values[: len(held)][gaps].view(np.uint32)):
        return None
    rows[gaps] = values[: len(held)][gaps]
    return rows


def _load_past(folder: DenseFolder) -> Past | None:
    file = folder.path / "past.npz"
    if not file.is_file():
        return None
    with np.load(file) as kept:
        arrays = {name: kept[name] for name in kept.files}
    return Past(folder.dates, folder.symbols, arrays.pop("first"), arrays.pop("last"), arrays)


def _save_past(folder: DenseFolder, past: Past) -> None:
    arrays: dict[str, Any] = {"first": past.first, "last": past.last, **past.carried}
    np.savez(folder.path / "past.npz", **arrays)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process makes folders here; the mark goes with the process, however it ends."""
    with (folder / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@cache
def _code_version() -> str:
    """Return a hash of the code that derives fields, so that a cache never outlives it."""
    digest = hashlib.blake2b(digest_size=4)
    for module in (catalogue, dense, derive, grid, growth, market_rules, price_limits, rule_records):
        digest.update(Path(str(module.__file__)).read_bytes())
    digest.update(Path(__file__).read_bytes())
    for file in sorted((Path(str(market_rules.__file__)).parent / "markets").glob("*.yaml")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
