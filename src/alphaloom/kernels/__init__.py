"""Compiled rolling and cross-sectional primitives that features, transforms and statistics share."""
