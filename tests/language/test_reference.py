"""The printed reference of the language."""

from pathlib import Path

from alphaloom.language.operators import OPERATORS
from alphaloom.language.qlib_syntax import ALIASES
from alphaloom.language.reference import operator_table

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "operators.md"


def test_the_page_is_what_the_catalogue_says() -> None:
    """`docs/reference/operators.md` is `operator_table()`, to the letter."""
    assert PAGE.read_text(encoding="utf-8") == operator_table()


def test_the_page_is_complete() -> None:
    """Every operator, every setting and every name of qlib's is in it."""
    page = operator_table()
    for name, rule in OPERATORS.items():
        assert f"| `{name}(" in page
        assert all(f"`{setting}`" in page for setting in rule.settings)
    assert all(f"| `{name}` |" in page for name in ALIASES)
    assert "None" not in page
