"""Other programs, each in an environment of its own, run on the same data as alphaloom."""
