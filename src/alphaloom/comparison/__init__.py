"""Runs side by side, with paired tests of their differences."""
