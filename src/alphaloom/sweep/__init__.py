"""Portfolios of the same scores over a grid of settings."""
