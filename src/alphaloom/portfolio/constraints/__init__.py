"""Limits on a portfolio's weights, one file each."""
