"""Studies: one recipe over a grid of its settings, run as one job and compared."""
