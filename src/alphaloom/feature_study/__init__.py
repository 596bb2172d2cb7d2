"""Studies of features before any model: what they hold, know and cost, and how to treat what is missing."""
