"""Splits, samples, the one training loop and the rolling runner."""
