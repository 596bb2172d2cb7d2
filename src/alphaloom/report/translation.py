"""Words of a page in another language: a catalogue of texts and patterns, and the texts that a page shows."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from html.parser import HTMLParser
from importlib import resources
from typing import Any

import yaml

ANYTHING = "{}"
SILENT = frozenset({"script", "style", "pre", "code"})
"""Elements whose text is not translated."""


class Catalogue:
    """Translations of one language: texts, and patterns in which `{}` stands for anything, itself looked up in turn."""

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._texts = {text: words for text, words in entries.items() if ANYTHING not in text}
        patterns = [text for text in entries if ANYTHING in text]
        # The pattern with most text of its own is tried first: it is the most particular one.
        patterns.sort(key=lambda text: -len(text.replace(ANYTHING, "")))
        self._patterns = [(_expression(text), entries[text]) for text in patterns]

    def translate(self, text: str) -> str | None:
        """Return the translation of a text; None when the catalogue has none."""
        if text in self._texts:
            return self._texts[text]
        for expression, words in self._patterns:
            found = expression.fullmatch(text)
            if found is not None:
                parts = [self.translate(part) or part for part in found.groups()]
                return _filled(words, parts)
        return None

    def of(self, texts: Iterable[str]) -> dict[str, str]:
        """Return those of the texts that have a translation, with it."""
        found = {text: self.translate(text) for text in texts}
        return {text: words for text, words in found.items() if words is not None and words != text}


@cache
def catalogue(language: str) -> Catalogue:
    """Return the shipped catalogue of a language: `zh`."""
    text = (resources.files("alphaloom.report") / "assets" / f"{language}.yaml").read_text(encoding="utf-8")
    return Catalogue(yaml.safe_load(text))


def texts_of(html: str, figures: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return every text that a page shows: of its elements, of the hints on hovering, and in its charts.

    White space counts as one blank, as a browser shows it.
    """
    reader = _Reader()
    reader.feed(html)
    texts = dict.fromkeys(reader.texts)
    for figure in figures:
        texts |= dict.fromkeys(str(trace["name"]) for trace in figure["data"] if trace.get("name"))
        for name, axis in figure["layout"].items():
            title = axis.get("title") if name.startswith(("xaxis", "yaxis")) and isinstance(axis, Mapping) else None
            if isinstance(title, Mapping) and title.get("text"):
                texts[str(title["text"])] = None
    return list(texts)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in SILENT
        self.texts += [_one_line(value) for name, value in attrs if name == "title" and value]

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in SILENT

    def handle_data(self, data: str) -> None:
        if not self._silent and data.strip():
            self.texts.append(_one_line(data))


def _one_line(text: str) -> str:
    return re.sub(r"[ \t\r\n\f]+", " ", text).strip(" ")


def _expression(text: str) -> re.Pattern[str]:
    return re.compile("(.+?)".join(map(re.escape, text.split(ANYTHING))))


def _filled(words: str, parts: list[str]) -> str:
    """Return words with `{}` replaced by the parts in order, and `{3}` by that one, counted from 0."""
    order = iter(parts)
    return re.sub(r"\{(\d*)\}", lambda at: parts[int(at[1])] if at[1] else next(order), words)
