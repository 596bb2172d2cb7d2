"""The web page: runs, their reports, data, and starting experiments, over HTTP."""
