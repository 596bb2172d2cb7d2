"""Where tasks run, and where their results lie. An executor is one file in this folder."""
