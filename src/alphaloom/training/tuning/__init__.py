"""Settings of models, searched for on each window's training dates alone."""
