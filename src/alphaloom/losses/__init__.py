"""Losses of neural training, one file each."""
