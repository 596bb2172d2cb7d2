"""Learning rates over the epochs."""

import math

from alphaloom.models.base import Optimisation


def learning_rate(wanted: Optimisation, epoch: int) -> float:
    """Return the learning rate of an epoch, from 1, by the settings `lr`, `lr_end`, `epochs` and `schedule`."""
    if wanted.schedule == "constant" or wanted.epochs == 1:
        return wanted.lr
    done = (epoch - 1) / (wanted.epochs - 1)
    if wanted.schedule == "decay":
        return float(wanted.lr * ((wanted.lr_end or wanted.lr / 1000) / wanted.lr) ** done)
    if wanted.lr_end is None:
        return wanted.lr * 0.5 * (1 + math.cos(math.pi * (epoch - 1) / wanted.epochs))
    return wanted.lr_end + (wanted.lr - wanted.lr_end) * 0.5 * (1 + math.cos(math.pi * done))
