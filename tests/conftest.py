"""Settings of the whole suite."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from ray_cluster import RayCluster, ray_cluster

# A fixed set of examples by default, so that a change is judged by the same cases each time; HYPOTHESIS_PROFILE=search
# draws new ones.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `gpu` where there is no CUDA device."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session")
def cluster() -> Iterator[RayCluster]:
    """Two machines of a core each, in Ray's eyes. Tests on it are in the group `ray`; one that ends a machine starts
    another.
    """
    with ray_cluster(nodes=2, cores=1) as made:
        yield made


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the playwright package is not installed")
    from browsing import launch

    with playwright.sync_playwright() as driver:
        chromium = launch(driver)
        yield chromium
        chromium.close()
