"""What trading costs in the optimiser's objective, one file each."""
