from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from lingraft.measure import Results, Row, bars_svg, heatmap_svg, html_report, table, write_report
from lingraft.measure.labels import group_title, probability, short_codes
from lingraft.measure.picture import VIA_COLOURS, luminance, shade

LANGUAGES = ("eng_Latn", "deu_Latn", "epo_Latn", "rus_Cyrl")
EVIL = '<script>alert("x")</script>&\''


def sample(languages: tuple[str, ...] = LANGUAGES, text: str = "toy") -> Results:
    rows = []
    for number, (source, target) in enumerate(itertools.permutations(languages, 2)):
        for via, base in (("base", 4.0), ("direct", 31.25), ("pivot", 33.0)):
            if via != "pivot" or "eng_Latn" not in (source, target):
                rows.append(Row(source, target, via, base + number / 4, base / 2, 1.5, 600, f"nw:2|{text}", "tok:13a"))
    return Results(
        tuple(rows),
        languages,
        testset=text,
        identifier={"languages": list(languages), "accuracy": dict.fromkeys(languages, 99.0)},
        versions={"lingraft": text},
        command=text,
        seconds={"direct": 1.5},
        notes=(text,),
    )


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_is_whole_safe_and_asks_for_nothing() -> None:
    text = html_report(sample(text=EVIL), title=EVIL)
    page = _Page(text)
    assert page.open == []
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "base", "form", "a", "use", "image"}
    assert not [a for _, attrs in page.tags for a in attrs if a.startswith("on") or a in ("src", "href", "action")]
    assert "url(" not in text
    assert "@import" not in text
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "prefers-color-scheme:dark" in text
    assert sum(tag == "svg" for tag, _ in page.tags) == 3 + 3  # maps, and bars per group
    assert "&lt;script&gt;" in text


def test_page_shows_every_row(tmp_path: Path) -> None:
    results = sample()
    write_report(results, tmp_path / "report.html", title="Four languages")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    body = text[text.index("All numbers") :]
    for row in results.rows:
        assert f"<td>{row.chrf:.2f}</td>" in body
    assert body.count("<tr class") == len(results.rows)
    for part in ("nw:2|toy", "tok:13a", "without English (6)", "Without English", "Four languages"):
        assert part in text


def test_pictures_are_svg_files() -> None:
    results = sample()
    for via in ("direct", "pivot", "base"):
        root = ET.fromstring(heatmap_svg(results, via))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        shown = {node.text for node in root.iter("{http://www.w3.org/2000/svg}text")}
        assert {f"{row.chrf:.1f}" for row in results.rows if row.via == via} <= shown
        assert {"eng", "deu", "epo", "rus"} <= shown
    bars = ET.fromstring(bars_svg(results, [("deu_Latn", "epo_Latn"), ("epo_Latn", "eng_Latn")]))
    assert len(list(bars.iter("{http://www.w3.org/2000/svg}rect"))) == 3 + 3 + 2


def _contrast(a: float, b: float) -> float:
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


def _light(colour: str) -> float:
    return luminance(*(int(colour[i : i + 2], 16) for i in (1, 3, 5)))


def test_numbers_can_be_read_on_every_shade() -> None:
    """WCAG 2.2: text 4.5:1 (1.4.3), parts of graphics 3:1 (1.4.11) in both themes."""
    for step in range(101):
        fill, ink = shade(step, 0, 100)
        assert _contrast(_light(fill), 0.0 if ink == "#000" else 1.0) >= 4.5
    for colour in VIA_COLOURS.values():
        assert _contrast(_light(colour), 1.0) >= 3
        assert _contrast(_light(colour), _light("#14171b")) >= 3
    lights = [_light(shade(step, 0, 100)[0]) for step in range(101)]
    assert lights == sorted(lights, reverse=True)  # also readable without colour vision


def test_terminal_table() -> None:
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table(sample()))
    text = console.export_text()
    for part in ("eng", "direct / pivot / base", "31.2", "without English (6)", "of the pivot's chrF++", "99.0", "toy"):
        assert part in text


def test_one_pair_with_english_and_no_results() -> None:
    for results in (sample(("eng_Latn", "deu_Latn")), Results((), ("eng_Latn", "deu_Latn"))):
        assert _Page(html_report(results)).open == []
        Console(width=80, quiet=True).print(table(results))


def test_labels() -> None:
    assert [probability(p) for p in (1e-4, 0.001, 0.0504)] == ["< 0.001", "0.001", "0.050"]
    assert short_codes(("srp_Cyrl", "srp_Latn", "deu_Latn")) == {
        "srp_Cyrl": "srp_Cyrl",
        "srp_Latn": "srp_Latn",
        "deu_Latn": "deu",
    }
    assert group_title("out_of_pivot", "eng_Latn") == "out of English"


@pytest.mark.parametrize("count", [9])
def test_many_languages(count: int) -> None:
    languages = ("eng_Latn", *(f"q{chr(97 + i)}a_Latn" for i in range(count)))
    text = html_report(sample(languages))
    assert 'class="maps large"' in text
    assert _Page(text).open == []
