"""Settings of the whole suite."""

import os

from hypothesis import settings

# A fixed set of examples by default, so that a change is judged by the same cases each time; HYPOTHESIS_PROFILE=search
# draws new ones.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))
