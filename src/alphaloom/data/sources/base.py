"""What a data source is, and the registry of all of them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from alphaloom.registry import Registry
from alphaloom.spec import Component


class Source(Component, ABC):
    """Reads market data in some outside form into the store's tables (`alphaloom.data.schema`).

    Settings are the importer's options; `SOURCE` on the command line is the path given to `read`.
    """

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether the path looks like this source's form; used when no `--format` is given."""
        return False

    @abstractmethod
    def read(self, path: Path) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield `(table name, frame)` pairs in the schema's columns and units; a table may come in several parts.

        Raises:
            DataError: the files are not what the source expects: which file, which column, what is allowed.
            UnsafeFileError: a file would run code, or is cut short.
        """


sources: Registry[Source] = Registry("source", Source, "alphaloom.data.sources")
