"""Models, one file each: settings and network or estimator, nothing else."""
