"""Target weights to a ledger under the market's rules."""
