"""Settings of a sweep from a run, a file and the command line."""

import pytest
import yaml

from alphaloom.errors import SettingError, UsageError
from alphaloom.sweep.read import find_sweep, read_sweep, shipped_sweeps


def test_the_command_line_stands_above_the_file_above_the_defaults(store, tmp_path):
    """Axes of the command line replace the file's; overrides come last."""
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"axes": {"portfolio.num_stock": [5]}, "portfolio": {"style_limit": 0.2}}))
    words = ["portfolio.turnover_limit=0.4", "backtest.capital=5e7"]
    made = read_sweep(
        tmp_path / "s.parquet", store, file=str(file), grid=["backtest.price=open, close"], overrides=words
    )
    assert dict(made.axes) == {"backtest.price": ("open", "close")}
    assert (made.portfolio.style_limit, made.portfolio.turnover_limit) == (0.2, 0.4)
    assert (made.backtest.capital, made.backtest.market, made.name) == (5e7, store.market, "s")


def test_a_portfolio_of_another_kind_replaces_the_base(store, tmp_path):
    """Its settings do not mix with those of the base."""
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"axes": {"portfolio.group": [1, 2]}, "portfolio": {"name": "quantile"}}))
    made = read_sweep(tmp_path / "s.parquet", store, file=str(file))
    assert type(made.portfolio).name == "quantile"


@pytest.mark.parametrize("name", sorted(shipped_sweeps()))
def test_shipped_sweeps_are_sound(name, store, tmp_path):
    """Each can be read, and says what it is."""
    made = read_sweep(tmp_path / "s.parquet", store, file=name)
    assert made.name == name
    assert made.description


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"file": "barra-limits"}, UsageError, "mean 'barra-limit'"),
        ({"grid": ["portfolio.num_stock"]}, SettingError, "write it as setting.part=value,value"),
        ({"grid": ["portfolio.num_stock=[1"]}, SettingError, "not a list of YAML values"),
    ],
)
def test_what_cannot_be_read_says_so(arguments, kind, words, store, tmp_path):
    """With what would be right."""
    with pytest.raises(kind, match=words):
        read_sweep(tmp_path / "s.parquet", store, **arguments)


def test_a_damaged_file_is_named(store, tmp_path):
    """Not YAML, or no settings."""
    file = tmp_path / "bad.yaml"
    file.write_text("axes: [1")
    with pytest.raises(SettingError, match=r"bad.yaml is not valid YAML"):
        read_sweep(tmp_path / "s.parquet", store, file=str(file))
    file.write_text("- 1")
    with pytest.raises(SettingError, match="must hold settings"):
        read_sweep(tmp_path / "s.parquet", store, file=str(file))
    assert find_sweep(str(file)) == file
