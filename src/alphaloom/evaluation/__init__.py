"""Scores and labels to statistics."""
