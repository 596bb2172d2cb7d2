"""A deterministic market whose truth is known."""

from alphaloom.data.simulate.settings import SimulatedMarket
from alphaloom.data.simulate.simulate import simulate
from alphaloom.data.simulate.truth import Truth

__all__ = ["SimulatedMarket", "Truth", "simulate"]
