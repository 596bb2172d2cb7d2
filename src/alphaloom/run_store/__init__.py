"""Runs on disk: an index of their folders, tags, trials, export."""
