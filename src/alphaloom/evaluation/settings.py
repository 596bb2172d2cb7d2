"""Settings of an evaluation."""

from typing import Annotated

from pydantic import Field

from alphaloom.spec import Spec


class EvaluationSettings(Spec):
    """How scores are judged."""

    quantiles: Annotated[int, Field(ge=2, le=50)] = 5
    """Number of equal-sized groups by score."""
    min_names: Annotated[int, Field(ge=3)] = 20
    """Fewest names with score and return for a date to count."""
    significance: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """Level at which one date's RankIC is called significant (two-sided)."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Coverage of the intervals."""
    resamples: Annotated[int, Field(ge=100)] = 1000
    """Bootstrap samples behind each interval."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the bootstrap."""
    annual_days: Annotated[int, Field(ge=1, le=366)] = 243
    """Trading days a year, for annualising; 243 is the mean of the China A-share calendar, 2010 to 2024."""
    cost_bps: Annotated[float, Field(ge=0)] = 10.0
    """Cost of trading, per value bought or sold, taken off the quantile spread."""
    decay_periods: tuple[Annotated[int, Field(ge=1)], ...] = (1, 2, 3, 4, 8)
    """Single periods ahead at which RankIC is shown."""
