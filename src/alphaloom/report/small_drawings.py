"""Small drawings that stand in a table's cell, as inline SVG coloured by the page's style."""

import math
from collections.abc import Sequence

import numpy as np

from alphaloom.report.content import NONE
from alphaloom.typing import Array


def histogram_svg(shares: Sequence[float] | Array, *, width: int = 96, height: int = 22) -> str:
    """Return a histogram as inline SVG, the fullest bar as high as the picture; a dash without values."""
    bars = np.asarray(shares, dtype=np.float64)
    top = float(bars.max(initial=0.0))
    if top <= 0:
        return NONE
    step = width / bars.size
    tall = np.maximum(height * bars / top, 0.6)
    path = "".join(
        f"M{k * step:.1f} {height}v-{tall[k]:.1f}h{step - 0.6:.1f}v{tall[k]:.1f}z" for k in np.flatnonzero(bars > 0)
    )
    size = f'width="{width}" height="{height}"'
    return f'<svg class="shape" {size} role="img" aria-label="histogram"><path d="{path}"/></svg>'


def interval_svg(mean: float, error: float, reach: float, *, width: int = 110, height: int = 14) -> str:
    """Return a mean and two errors either side as inline SVG on a scale of -reach to reach; a dash where unknown."""
    if not (math.isfinite(mean) and math.isfinite(error)):
        return NONE

    def place(value: float) -> float:
        return 3 + (width - 6) * (value / reach + 1) / 2

    tone = " up" if mean - 2 * error > 0 else " down" if mean + 2 * error < 0 else ""
    middle = height / 2
    low, high = place(mean - 2 * error), place(mean + 2 * error)
    return (
        f'<svg class="interval" width="{width}" height="{height}" role="img" aria-label="interval">'
        f'<line class="zero" x1="{place(0):.1f}" x2="{place(0):.1f}" y1="0" y2="{height}"/>'
        f'<line class="range{tone}" x1="{low:.1f}" x2="{high:.1f}" y1="{middle:g}" y2="{middle:g}"/>'
        f'<circle class="mean{tone}" cx="{place(mean):.1f}" cy="{middle:g}" r="2.6"/></svg>'
    )
