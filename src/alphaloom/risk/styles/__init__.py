"""Style factors, one file each."""
