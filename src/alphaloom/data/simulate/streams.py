"""Independent random streams, each found by name, so that one part's draws never shift another's."""

import zlib

import numpy as np


def stream(seed: int, name: str, block: int = 0) -> np.random.Generator:
    """Return the generator of one part of the simulation (`name`) in one year (`block`)."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(name.encode()), block]))
