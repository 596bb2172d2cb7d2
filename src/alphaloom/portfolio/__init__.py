"""Scores to target weights; constructions one file each."""
