"""Transforms of features and labels, one file each."""
