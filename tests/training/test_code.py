"""The hash of the code behind scores."""

import importlib.util
import sys

from alphaloom.models.base import models
from alphaloom.training.code import code_hash
from alphaloom.transforms.base import transforms

PLUGIN = '''
from alphaloom.transforms.base import Transform

class Shift(Transform):
    """Moves all values."""

    def apply(self, block, panel, state):
        block += {amount}
'''


def load(file, amount):
    """Return the transform of a plug-in file written with that amount."""
    file.write_text(PLUGIN.format(amount=amount))
    spec = importlib.util.spec_from_file_location("shift_plugin", file)
    module = sys.modules["shift_plugin"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Shift()


def test_the_hash_follows_the_files_of_the_components_in_use(tmp_path, monkeypatch):
    """It is stable, differs between components, and changes with a plug-in's file."""
    monkeypatch.setitem(sys.modules, "shift_plugin", None)
    file = tmp_path / "shift_plugin.py"
    ridge, zscore = models.parse("ridge"), transforms.parse("zscore")
    first = code_hash([ridge, load(file, 1)])
    assert first == code_hash([load(file, 1), ridge])
    assert first != code_hash([ridge, load(file, 2)])
    assert code_hash([ridge]) == code_hash([ridge, ridge])
    assert len({code_hash([]), code_hash([ridge]), code_hash([ridge, zscore])}) == 3


def test_the_loss_of_a_network_counts():
    """A component inside another one counts like one beside it."""
    mse, ic = (models.parse({"name": "gru", "loss": loss}) for loss in ("mse", "ic"))
    assert code_hash([mse]) != code_hash([ic])
