"""Samples at random, for tests of what is gathered from them."""

import numpy as np

from alphaloom.training.samples import Samples


def random_samples(T=20, N=7, F=3, first=0, every=1, seed=0):
    """Return samples with missing values, whole rows missing, late listings and non-members."""
    rng = np.random.default_rng(seed)
    block = rng.standard_normal((T, N, F)).astype(np.float32)
    block[rng.random(block.shape) < 0.1] = np.nan
    block[rng.random((T, N)) < 0.1] = np.nan
    block[: T // 2, 0] = np.nan
    label = rng.standard_normal((T, N)).astype(np.float32)
    label[rng.random((T, N)) < 0.2] = np.nan
    member = rng.random((T, N)) < 0.8
    return Samples(block, label, member, np.arange(first, T, every))
