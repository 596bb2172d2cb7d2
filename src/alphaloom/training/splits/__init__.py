"""Sample dates to training, validation and test windows. A split is one file in this folder."""

from alphaloom.training.splits.base import Split, Window, splits
from alphaloom.training.splits.calendar import Calendar
from alphaloom.training.splits.schedule import sample_rows

__all__ = ["Calendar", "Split", "Window", "sample_rows", "splits"]
