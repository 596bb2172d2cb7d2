"""Words in another language: texts, patterns, and how much of the pages the catalogue covers."""

import re
from importlib.resources import files

import pytest
import yaml

from alphaloom.report.page import figure_data, render
from alphaloom.report.translation import Catalogue, catalogue, texts_of
from alphaloom.report.write import study_page

SMALL = Catalogue(
    {
        "Return": "收益",
        "By year: {}": "按年：{}",
        "{} of {}": "{1} 之 {0}",
        "By {} and {}": "按 {} 与 {}",
        "By {} and {}: return": "按 {} 与 {}：收益",
    }
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Return", "收益"),
        ("By year: topk", "按年：topk"),
        ("By year: Return", "按年：收益"),
        ("3 of 5", "5 之 3"),
        ("By a and b", "按 a 与 b"),
        ("By a and b: return", "按 a 与 b：收益"),
        ("nothing", None),
        ("Returns", None),
    ],
)
def test_texts_and_patterns(text, words):
    """The most particular pattern is taken; its parts are looked up in turn, and may change places."""
    assert SMALL.translate(text) == words


def test_placeholders_agree():
    """Every translation uses as many parts as its text has, each once."""
    entries = yaml.safe_load((files("alphaloom.report") / "assets" / "zh.yaml").read_text(encoding="utf-8"))
    for text, words in entries.items():
        places = re.findall(r"\{(\d*)\}", words)
        assert len(places) == text.count("{}"), text
        numbered = [int(place) for place in places if place]
        assert len(set(numbered)) == len(numbered), text


def test_texts_are_those_that_a_browser_shows():
    """Elements, hints, legends and axes; not scripts, styles or code."""
    html = '<h1>A\n  b</h1><style>x</style><pre>code</pre><td title="hint">1.5</td><script>y</script>'
    figure = {"data": [{"name": "line"}, {}], "layout": {"xaxis": {"title": {"text": "day"}}, "yaxis": {}}}
    assert texts_of(html, [figure]) == ["A b", "hint", "1.5", "line", "day"]


def test_the_study_page_is_chinese_but_for_names(study):
    """Headings, leads, captions, columns and hints of a full study all have Chinese."""
    page = study_page(study)
    figures = [figure_data(block.figure) for s in page.sections for block in s.blocks if hasattr(block, "figure")]
    html = render(page)
    known = catalogue("zh").of(texts_of(html, figures))
    wanted = {section.title for section in page.sections} | {section.lead for section in page.sections}
    for section in page.sections:
        for block in section.blocks:
            wanted |= {getattr(block, "caption", ""), getattr(block, "note", ""), getattr(block, "title", "")}
            wanted |= {*getattr(block, "meanings", ()), *getattr(block, "titles", ())}
    names = {"", "RankIC", "IC", "ICIR", "IR", "Newey-West", "linear programme", "top 50"}
    names |= {"learning_rate", "max_depth", "booster", "hidden"}
    lacking = sorted(text for text in wanted - names if text not in known and re.search("[a-z]{3}", text))
    assert not lacking
