"""Market data: the store on disk, sources that fill it, panels read from it, the universe, the simulated market."""
