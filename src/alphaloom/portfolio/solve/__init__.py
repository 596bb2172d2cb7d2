"""Solvers of one date's problem: compact linear programmes, quadratic ones in factor form, cones, and a certificate."""
