"""Returns of many trials to what remains of the best of them: luck, search and length of record taken off."""
