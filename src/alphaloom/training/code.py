"""Which code made a result: a hash of the files it depends on, so that no result outlives its code."""

import hashlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from alphaloom.spec import Component

SHARED = (
    "panel.py",
    "data/derive.py",
    "data/fields.py",
    "data/grid.py",
    "data/load.py",
    "data/market_rules.py",
    "data/markets/*.yaml",
    "data/price_limits.py",
    "data/rule_records.py",
    "data/universe/build.py",
    "features/compute.py",
    "kernels/*.py",
    "losses/validation.py",
    "risk/cross_section.py",
    "risk/exposures.py",
    "risk/neutral.py",
    "risk/regression.py",
    "training/*.py",
    "training/splits/*.py",
    "transforms/chain.py",
)
"""Files of the package that every score depends on, beside those of the components in use."""


def code_hash(components: Iterable[Component], *more: Path) -> str:
    """Return 16 hex digits of the code behind scores: the shared files, those of the components' classes, and `more`.

    Where modules of one kind have parts in common (`alphanet_parts.py` of `alphanet_v1.py`), these count too.
    Components of other packages (plug-ins) count like our own. A file that no score depends on changes nothing: a new
    model does not make the results of the others stale.
    """
    package = Path(__file__).parents[1]
    files = {file for pattern in SHARED for file in package.glob(pattern)} | set(more)
    for component in components:
        files.update(_files(component))
    digest = hashlib.blake2b(digest_size=8)
    for content in sorted(hashlib.blake2b(file.read_bytes()).digest() for file in files):
        digest.update(content)
    return digest.hexdigest()


def _files(component: Component) -> Iterator[Path]:
    for cls in type(component).__mro__:
        if issubclass(cls, Component):
            file = getattr(sys.modules.get(cls.__module__), "__file__", None)
            if file is not None and Path(file).is_file():
                yield Path(file)
                yield from Path(file).parent.glob(f"{Path(file).stem.partition('_')[0]}_parts.py")
    for value in vars(component).values():
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, Component):
                yield from _files(item)
