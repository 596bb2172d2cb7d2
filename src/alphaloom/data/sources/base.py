"""What a data source is, and the registry of all of them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from alphaloom.registry import Registry
from alphaloom.spec import Component


@dataclass(frozen=True)
class Facts:
    """What a source knows beside its rows; recorded in the store."""

    market: str = "china"
    """Name of the market rules that apply."""
    extras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Further numeric columns to keep, by table."""
    notes: tuple[str, ...] = ()
    """Caveats for whoever uses the data."""
    known_issues: tuple[Mapping[str, object], ...] = ()
    """Rows that the source itself says are doubtful; kept as found."""
    label: str = ""
    """Column of the `frame` table that is the label."""


class Source(Component, ABC):
    """Reads market data in some outside form into the store's tables (`alphaloom.data.schema`).

    Settings are the importer's options; `SOURCE` on the command line is the path given to `read`.
    """

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether the path looks like this source's form; used when no `--format` is given."""
        return False

    def facts(self, path: Path) -> Facts:
        """Return what is known of the data at the path beside its rows."""
        return Facts()

    @abstractmethod
    def read(self, path: Path) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield `(table name, frame)` pairs in the schema's columns and units; a table may come in several parts.

        Raises:
            DataError: the files are not what the source expects: which file, which column, what is allowed.
            UnsafeFileError: a file would run code, or is cut short.
        """


sources: Registry[Source] = Registry("source", Source, "alphaloom.data.sources")
