"""Results of a benchmark: a table for people and the same numbers for programs, with the machine they hold for."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Return what the numbers depend on: processor, cores, load, Python."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }


def save(name: str, title: str, rows: list[dict[str, Any]], facts: dict[str, Any], notes: list[str]) -> None:
    """Write `results/NAME.json` and `results/NAME.md`, aside first, and print the table."""
    RESULTS.mkdir(exist_ok=True)
    held = {"benchmark": name, "date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine(), **facts, "rows": rows}
    heads = list(rows[0])
    table = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    table += ["| " + " | ".join(_text(row[head]) for head in heads) + " |" for row in rows]
    box = held["machine"]
    where = (
        f"{box['processor']}, {box['cores']} cores, load {box['load_1min']}, Python {box['python']}, {held['date']}."
    )
    text = "\n".join([f"# {title}", "", *table, "", *(f"- {note}" for note in notes), f"- {where}", ""])
    for suffix, content in ((".json", json.dumps(held, indent=1)), (".md", text)):
        aside = RESULTS / f".{name}{suffix}"
        aside.write_text(content)
        aside.rename(RESULTS / f"{name}{suffix}")
    print(text)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)
