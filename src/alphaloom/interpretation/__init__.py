"""Methods that tell what a fitted model learned, one file each."""
