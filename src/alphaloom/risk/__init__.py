"""Style exposures and what is built on them."""
