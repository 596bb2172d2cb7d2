"""Measurements of alphaloom and of its peers, side by side on the same data; never timed tests."""
