"""Features of any size: computed into a folder block by block and kept up to date, or streamed as long frames."""

from alphaloom.features.materialise.pieces import DEFAULT_MEMORY
from alphaloom.features.materialise.request import load_market, parse_families, split_available
from alphaloom.features.materialise.run import Update, materialise
from alphaloom.features.materialise.stream import feature_frames

__all__ = [
    "DEFAULT_MEMORY",
    "Update",
    "feature_frames",
    "load_market",
    "materialise",
    "parse_families",
    "split_available",
]
