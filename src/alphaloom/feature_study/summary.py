"""Summary of features over all listed cells: how many have a value, and the moments of those that have."""

from dataclasses import dataclass

import numpy as np

from alphaloom.kernels.column_moments import column_moments, merged_moments
from alphaloom.typing import Bools, Doubles, Floats, Ints


@dataclass(frozen=True, eq=False)
class Summary:
    """What is counted of F features over `cells` listed (date, stock) cells; combined block by block, exact."""

    cells: int
    counts: Ints
    """Finite values, infinities, zeros `[3, F]`."""
    moments: Doubles
    """Mean and sums of powers 2 to 4 of the distances from it `[4, F]`."""

    @classmethod
    def of(cls, block: Floats, listed: Bools) -> "Summary":
        """Return the summary of a block `[T, N, F]`, on the cells where `listed [T, N]`."""
        return cls(int(listed.sum()), *column_moments(block, listed))

    def __add__(self, other: "Summary") -> "Summary":
        """Return the summary of both groups of cells together."""
        moments = merged_moments(self.counts[0], self.moments, other.counts[0], other.moments)
        return Summary(self.cells + other.cells, self.counts + other.counts, moments)

    @property
    def coverage(self) -> Doubles:
        """Share of the listed cells with a value, infinite or not `[F]`."""
        return np.asarray((self.counts[0] + self.counts[1]) / max(1, self.cells), dtype=np.float64)

    @property
    def infinite(self) -> Ints:
        """Infinite values `[F]`."""
        return np.asarray(self.counts[1])

    @property
    def zeros(self) -> Doubles:
        """Share of the finite values that are 0 `[F]`."""
        return np.asarray(self.counts[2] / np.maximum(1, self.counts[0]), dtype=np.float64)

    @property
    def mean(self) -> Doubles:
        """Mean of the finite values `[F]`; NaN without any."""
        return np.where(self.counts[0] > 0, self.moments[0], np.nan)

    @property
    def std(self) -> Doubles:
        """Standard deviation, divisor n - 1 `[F]`."""
        n = self.counts[0]
        return np.where(n > 1, np.sqrt(self.moments[1] / np.maximum(1, n - 1)), np.nan)

    @property
    def skew(self) -> Doubles:
        """Third central moment over the deviation's cube, divisors n `[F]`; NaN for a constant."""
        n, second = np.maximum(1, self.counts[0]), self.moments[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(second > 0, np.sqrt(n) * self.moments[2] / second**1.5, np.nan)

    @property
    def kurtosis(self) -> Doubles:
        """Fourth central moment over the squared variance less 3, divisors n `[F]`; 0 for a normal distribution."""
        n, second = np.maximum(1, self.counts[0]), self.moments[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(second > 0, n * self.moments[3] / second**2 - 3.0, np.nan)
