"""What the how-to shows can be pasted."""

import re
from pathlib import Path

import yaml

from alphaloom.executors import executors

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "use-a-cluster.md"


def test_settings_of_the_how_to_are_accepted():
    """Every YAML block holds settings of an executor, and every setting in its table exists."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    assert [executors.parse(block["executor"]).name for block in blocks] == ["local", "ray", "ray"]
    table = re.findall(r"^\| (`.*?`) \|", text, re.MULTILINE)
    named = {name for cell in table for name in re.findall(r"`(\w+)`", cell)}
    assert named <= set(executors["ray"].model_fields)
    assert {"address", "slots", "cores"} <= named
