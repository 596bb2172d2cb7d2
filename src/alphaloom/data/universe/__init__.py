"""Universe rules, one file each."""
