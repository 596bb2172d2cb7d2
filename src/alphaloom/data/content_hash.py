"""Content hashes of a panel: what a stretch of rows of some fields holds, stock by stock."""

import hashlib
from collections.abc import Iterable

import numpy as np

from alphaloom.kernels.content_hash import SEED, chunk_hashes, mix
from alphaloom.panel import Panel
from alphaloom.typing import Array, Floats

CHUNK = 16
"""Rows hashed together; a stretch that begins inside a chunk is hashed from the chunk's first row on."""
UNIVERSE = "universe"


class PanelHashes:
    """Hashes of one panel's fields; each field is read once and kept as one number for 16 rows of a stock."""

    def __init__(self, panel: Panel) -> None:
        self.panel = panel
        self._chunks: dict[str, Array] = {}

    def of(self, fields: Iterable[str], start: int, stop: int) -> Array:
        """Return the hash of the fields and dates on rows `start` to `stop - 1`, for every stock (uint64 `[N]`).

        The name "universe" means the panel's universe. Values count by their bits.
        """
        first = start // CHUNK * CHUNK
        days = self.panel.dates[first:stop].astype("datetime64[D]").astype(np.int64)
        state = np.full(self.panel.shape[1], SEED ^ number(days.tobytes()), dtype=np.uint64)
        whole = stop // CHUNK
        for name in sorted(fields):
            mix(state, np.full((1, state.size), number(name.encode()), dtype=np.uint64))
            mix(state, self._table(name)[first // CHUNK : whole])
            if stop % CHUNK:
                mix(state, _hashes(self._bits(name, max(first, whole * CHUNK), stop)))
        return state

    def together(self, state: Array) -> Array:
        """Return one hash for all stocks, their names and their order, repeated for each (uint64 `[N]`)."""
        digest = number(state.tobytes() + "\n".join(self.panel.symbols.tolist()).encode())
        return np.full(state.size, digest, dtype=np.uint64)

    def _table(self, name: str) -> Array:
        if name not in self._chunks:
            self._chunks[name] = _hashes(self._bits(name, 0, self.panel.shape[0]))
        return self._chunks[name]

    def _bits(self, name: str, start: int, stop: int) -> Array:
        if name == UNIVERSE:
            return self.panel.universe[start:stop].astype(np.uint32)
        return np.ascontiguousarray(self.panel[name][start:stop]).view(np.uint32)


def _hashes(bits: Array) -> Array:
    out = np.empty((-(-bits.shape[0] // CHUNK), bits.shape[1]), dtype=np.uint64)
    readable = bits.view()
    readable.flags.writeable = False
    chunk_hashes(readable, CHUNK, out)
    return out


def digest(values: Floats) -> str:
    """Return 16 hex digits for the content of a block `[rows, N, F]`, at the speed of reading it."""
    flat = np.ascontiguousarray(values).view(np.uint32).reshape(values.shape[0], -1)
    out = np.empty((1, flat.shape[1]), dtype=np.uint64)
    flat.flags.writeable = False
    chunk_hashes(flat, max(1, values.shape[0]), out)
    return f"{int(number(out.tobytes())):016x}"


def number(content: bytes) -> np.uint64:
    """Return the first 64 bits of the BLAKE2 hash of some bytes."""
    return np.uint64(int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little"))
