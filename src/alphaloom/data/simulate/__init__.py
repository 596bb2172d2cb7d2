"""A deterministic market whose truth is known."""
