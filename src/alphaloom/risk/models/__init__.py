"""Ways to estimate risk, one file each."""
