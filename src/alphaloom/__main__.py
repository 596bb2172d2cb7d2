"""`python -m alphaloom` is the `alphaloom` command."""

from alphaloom.cli import main

main()
