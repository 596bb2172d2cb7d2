"""What every route works with."""

import logging
import threading
from collections import OrderedDict
from pathlib import Path

import yaml
from fastapi import Request

from alphaloom.data.check import HealthReport, check
from alphaloom.data.info import Summary, info
from alphaloom.errors import UsageError
from alphaloom.recipe import shipped_recipes
from alphaloom.report.runs import RunFolder
from alphaloom.run_store.index import RunStore
from alphaloom.web.jobs import Job, Jobs
from alphaloom.web.messages import ShippedRecipe, StartRequest, StoreFacts
from alphaloom.web.recipes import resolve_recipe
from alphaloom.web.settings import WebSettings
from alphaloom.web.today import Predictions

log = logging.getLogger(__name__)


class Served:
    """The store of runs, the stores of data, jobs and predictions of one server."""

    def __init__(self, settings: WebSettings) -> None:
        self.settings = settings
        self.runs = RunStore(settings.runs)
        self.jobs = Jobs(settings.runs, dict(settings.stores), settings.at_once)
        self.predictions = Predictions()
        self._health: OrderedDict[tuple[str, str], tuple[Summary, HealthReport]] = OrderedDict()
        self._lock = threading.Lock()

    def health(self, name: str) -> tuple[Summary, HealthReport]:
        """Return summary and health of a store, computed once for each state of it.

        Raises:
            UnknownNameError: no such store.
        """
        store = self.settings.store(name)
        key = (name, store.fingerprint())
        with self._lock:
            if key not in self._health:
                self._health[key] = info(store), check(store)
                while len(self._health) > 8:
                    self._health.popitem(last=False)
            return self._health[key]

    def stores(self) -> list[StoreFacts]:
        """Return what there is to say of each store without reading it."""
        found = []
        for name in self.settings.stores:
            store = self.settings.store(name)
            facts = StoreFacts(name=name, market=store.market, fingerprint=store.fingerprint(), tables=store.tables())
            found.append(facts)
        return found

    def folder(self, name: str) -> RunFolder:
        """Return the folder of a run.

        Raises:
            UnknownNameError: no such run.
            UsageError: one of its files is a link that leads out of the folder of runs.
        """
        folder, home = self.runs.folder(name), self.settings.runs.resolve()
        for item in folder.path.iterdir():
            if item.is_symlink() and not item.resolve().is_relative_to(home):
                raise UsageError(
                    f"The run {name} holds a link, {item.name}, out of the folder of runs; it is not shown."
                )
        return folder

    def finished(self, name: str) -> RunFolder:
        """Return the folder of a finished run.

        Raises:
            UnknownNameError: no such run.
            UsageError: it is not finished.
        """
        return RunFolder.existing(self.folder(name).path)

    def start(self, wanted: StartRequest) -> Job:
        """Queue a run and return its job.

        Raises:
            UsageError: a wrong recipe, store or name.
        """
        recipe = resolve_recipe(wanted.source, wanted.shipped, wanted.scale, wanted.overrides)
        name = wanted.run or f"{recipe.name}-{recipe.fingerprint()[:8]}"
        return self.jobs.add(recipe, wanted.store, name, self.settings.threads)


def recipes() -> list[ShippedRecipe]:
    """Return the shipped recipes."""
    return [_shipped(name, file) for name, file in shipped_recipes().items()]


def _shipped(name: str, file: Path) -> ShippedRecipe:
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    scales = list(data.get("scales") or {})
    return ShippedRecipe(name=name, description=" ".join(str(data.get("description", "")).split()), scales=scales)


def served(request: Request) -> Served:
    """Return what this server serves."""
    found: Served = request.app.state.served
    return found
