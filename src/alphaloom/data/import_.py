"""Import: from files in some outside form to a store, all or nothing."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from alphaloom.data.problems import REASON
from alphaloom.data.schema import TABLES
from alphaloom.data.sources.base import Facts, Source, sources
from alphaloom.data.store import META, Store
from alphaloom.errors import DataError, SettingError, UsageError
from alphaloom.typing import PathLike


@dataclass(frozen=True)
class ImportReport:
    """What an import did."""

    store: Path
    format: str
    market: str
    created: bool
    """Whether the store is new; otherwise it was extended."""
    rows: Mapping[str, int]
    """Rows of each table now in the store."""
    quarantined: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Rows set aside by this import, by table and reason."""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "store": str(self.store),
            "format": self.format,
            "market": self.market,
            "created": self.created,
            "rows": dict(self.rows),
            "quarantined": {table: dict(reasons) for table, reasons in self.quarantined.items()},
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }


def import_data(
    source: PathLike,
    store: PathLike,
    format: str | None = None,  # noqa: A002
    mapping: PathLike | Mapping[str, Any] | None = None,
    *,
    quarantine: bool = False,
    sort: bool = False,
) -> ImportReport:
    """Return the report of an import that built the store, or extended it if it is there.

    Nothing is written when anything is wrong: a new store is built beside its place and renamed, an existing one takes
    all tables or none.

    Args:
        source: file or folder to read.
        store: folder of the store.
        format: name of a source (`alphaloom.data.sources`); found from the files when left out.
        mapping: the source's settings, as a YAML file or plain data. For `csv` and `parquet` also the column mapping:
            table -> store column -> file column.
        quarantine: set wrong rows aside in the store's `quarantine/` instead of refusing the import.
        sort: accept rows in any order of dates.

    Raises:
        UsageError: no such path, unknown format, or the form cannot be told from the files.
        DataError: wrong data; the message lists counts and examples.
        UnsafeFileError: a file that is cut short or would run code.
    """
    begun = time.perf_counter()
    path, place = Path(source), Path(store)
    if not path.exists():
        raise UsageError(f"{path} does not exist; SOURCE is a file or a folder of market data.")
    reader = make_source(path, format, mapping)
    facts = reader.facts(path)
    created = not (place / META).is_file()
    with _target(place, facts.market) as target:
        if target.market != facts.market:
            raise DataError(
                f"{place} is a store of market {target.market!r}; {path} holds market {facts.market!r}. "
                "Import it into a store of its own."
            )
        rows, aside = _write(target, reader, path, facts, quarantine=quarantine, sort=sort)
        _record(target, reader, path, facts, rows)
    return ImportReport(
        place, reader.name, facts.market, created, rows, aside, facts.notes, time.perf_counter() - begun
    )


def make_source(
    path: Path,
    format: str | None,  # noqa: A002
    mapping: PathLike | Mapping[str, Any] | None,
) -> Source:
    """Return the source with its settings, chosen by name or by looking at the files.

    Raises:
        UsageError: no format was given and no source, or more than one, knows the files.
        SettingError: the mapping file is not YAML or holds an unknown setting.
    """
    if format is None:
        fitting = [cls.name for cls in sources if cls.recognises(path)]
        if len(fitting) != 1:
            found = f"more than one fits ({', '.join(fitting)})" if fitting else "none knows these files"
            raise UsageError(f"The form of {path} is unclear: {found}. Name it: {', '.join(sources.names())}.")
        format = fitting[0]  # noqa: A001
    cls = sources[format]
    return cls.parse(_settings(cls, mapping), where=f"mapping for {format}")


def _settings(cls: type[Source], mapping: PathLike | Mapping[str, Any] | None) -> dict[str, Any]:
    if mapping is None:
        return {}
    if isinstance(mapping, Mapping):
        data: Any = dict(mapping)
    else:
        file = Path(mapping)
        if not file.is_file():
            raise UsageError(f"The mapping file {file} does not exist.")
        try:
            data = yaml.safe_load(file.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise SettingError(f"The mapping file {file} is not YAML: {error}") from None
    if not isinstance(data, dict):
        raise SettingError(f"A mapping is written as `table: {{store column: file column}}`, found {data!r}.")
    if "tables" not in cls.model_fields:
        return data
    tables = {name: value for name, value in data.items() if name in TABLES}
    others = {name: value for name, value in data.items() if name not in TABLES}
    if not tables and not set(others) & set(cls.model_fields):
        return {"tables": {"bars": others}}  # a bare mapping of columns is that of the bars
    return {**others, "tables": {**others.get("tables", {}), **tables}}


@contextmanager
def _target(place: Path, market: str) -> Iterator[Store]:
    """Yield the store to write: the existing one, or a new one built beside its place and renamed at the end."""
    if (place / META).is_file():
        yield Store(place)
        return
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise UsageError(f"{place} exists and is neither a store nor an empty folder; choose another place.")
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        yield Store.create(aside, market)
        aside.chmod(0o755)
        if place.exists():
            place.rmdir()
        aside.rename(place)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _write(
    target: Store, reader: Source, path: Path, facts: Facts, *, quarantine: bool, sort: bool
) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """Write every table the source yields in one batch; return rows now stored and rows set aside."""
    rows: dict[str, int] = {}
    with target.writing() as batch:
        for table, parts in groupby(reader.read(path), key=itemgetter(0)):
            if table in rows:
                raise DataError(f"Source {reader.name!r} yields table {table!r} in separate places; parts go together.")
            frames = (frame for _, frame in parts)
            extras = facts.extras.get(table, ())
            rows[table] = batch.write(table, frames, extras=extras, sort=sort, quarantine=quarantine)
        if not rows:
            raise DataError(f"{path} holds no table that source {reader.name!r} can read.")
        aside = {
            table: dict(frame[REASON].value_counts(sort=True).iter_rows()) for table, frame in batch.set_aside.items()
        }
    return rows, aside


def _record(target: Store, reader: Source, path: Path, facts: Facts, rows: Mapping[str, int]) -> None:
    """Note in the store where its data came from and what is known about them."""
    entry = {"path": path.name, **reader.describe()}
    before = target.meta.get("sources", [])
    changes: dict[str, Any] = {
        "sources": [*[item for item in before if item != entry], entry],
        "notes": list(dict.fromkeys([*target.meta.get("notes", []), *facts.notes])),
    }
    issues = [*target.meta.get("known_issues", []), *facts.known_issues]
    if issues:
        changes["known_issues"] = [item for k, item in enumerate(issues) if item not in issues[:k]]
    label = facts.label or (list(target.columns("frame"))[-1] if "frame" in rows else "")
    if label:
        changes["label"] = label
    target.annotate(**changes)


def table_counts(store: Store) -> dict[str, int]:
    """Return the number of rows of each table."""
    return {table: int(store.scan(table).select(pl.len()).collect().item()) for table in store.tables()}
