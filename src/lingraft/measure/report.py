"""Results as one HTML page that needs nothing else: no scripts, no requests, readable on a phone."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

from lingraft.measure.labels import VIA_TITLES, full_name, group_title, probability
from lingraft.measure.picture import bars_svg, heatmap_svg
from lingraft.measure.results import Results, write_text
from lingraft.measure.row import GROUPS
from lingraft.measure.significance import in_words
from lingraft.measure.table import identifier_note

_ORDER = ("direct", "pivot", "base")
_MANY = 80  # rows; longer tables are folded
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

_STYLE = """
:root{color-scheme:light dark;--page:#fff;--ink:#1c1f24;--soft:#59606a;--line:#dde1e6;--tint:#f5f6f8}
@media(prefers-color-scheme:dark){:root{--page:#14171b;--ink:#e6e8eb;--soft:#a2a9b3;--line:#333941;--tint:#1d2126}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1160px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 4px}
h2{font-size:1.2rem;margin:40px 0 10px}
p{margin:6px 0;max-width:75ch}
.soft{color:var(--soft)}
.big{display:flex;flex-wrap:wrap;gap:12px;margin:22px 0 0;padding:0;list-style:none}
.big li{background:var(--tint);border:1px solid var(--line);border-radius:8px;padding:10px 16px;min-width:140px}
.big b{display:block;font-size:1.55rem;line-height:1.25;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.93rem}
th,td{padding:5px 14px 5px 0;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{font-weight:600;color:var(--soft)}
.name{text-align:left}
tr.first td,tr.first th{border-top:2px solid var(--line)}
.maps{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,330px),1fr));gap:24px}
.maps.large{grid-template-columns:1fr}
svg{display:block;width:100%;height:auto;font-family:system-ui,sans-serif}
.large svg{min-width:680px}
code{font-size:.86rem;background:var(--tint);padding:2px 5px;border-radius:4px;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:4px 16px;margin:8px 0}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
summary{cursor:pointer;margin:6px 0}
@media(max-width:520px){main{padding:18px 14px 40px}dl{grid-template-columns:1fr}dd{margin-bottom:8px}
.big li{flex:1 1 40%;min-width:0}th,td{padding-right:9px;font-size:.85rem}
td.name{white-space:normal}}
"""


def html_report(results: Results, *, title: str = "Translation between all pairs") -> str:
    """Return the report as a self-contained HTML page.

    Args:
        results: What was measured.
        title: The heading.

    Returns:
        The page; all text that comes from outside is escaped.
    """
    languages = ", ".join(full_name(code) for code in results.languages)
    lines = max((row.lines for row in results.rows), default=0)
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="soft">{escape(languages)} · {lines} sentences per direction · higher chrF++ is better</p>',
        _headline(results),
        "<h2>Averages</h2>",
        _averages(results),
        "<h2>Every direction</h2>",
        _maps(results),
        "<h2>Direct, pivot and base</h2>",
        _bars(results),
        *_contrasts(results),
        "<h2>All numbers</h2>",
        _rows(results),
        "<h2>How it was measured</h2>",
        _method(results),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body><main>\n"
        + "\n".join(body)
        + "\n</main></body></html>\n"
    )


def write_report(results: Results, path: Path | str, *, title: str = "Translation between all pairs") -> None:
    """Write the report in one step."""
    write_text(path, html_report(results, title=title))


def _headline(results: Results) -> str:
    summary = results.summary
    group: dict[str, Any] = next((summary[name] for name in GROUPS if summary[name]), {})
    items = [(f"{group[via]['chrf++']:.1f}", f"{VIA_TITLES[via]}, chrF++") for via in _ORDER if via in group]
    if summary["ratio_direct_pivot"] is not None:
        items.insert(1, (f"{100 * summary['ratio_direct_pivot']:.0f} %", "of the pivot’s chrF++"))
    if "direct" in group:
        items.append((f"{group['direct']['off_target']:.1f} %", "direct outputs off target"))
    cells = "".join(f"<li><b>{escape(number)}</b>{escape(label)}</li>" for number, label in items)
    return f'<ul class="big">{cells}</ul>'


def _averages(results: Results) -> str:
    summary = results.summary
    rows = []
    for group in GROUPS:
        for number, via in enumerate(via for via in _ORDER if via in summary[group]):
            mean = summary[group][via]
            title = f"{group_title(group, results.pivot)} ({mean['directions']})" if number == 0 else ""
            numbers = (f"{mean['chrf++']:.1f}", f"{mean['bleu']:.1f}", f"{mean['off_target']:.1f} %")
            rows.append(("first" if number == 0 else "", (title, VIA_TITLES[via]), numbers))
    return _table(("Directions", "Via"), ("chrF++", "BLEU", "Off target"), rows)


def _maps(results: Results) -> str:
    large = " large" if len(results.languages) > 7 else ""
    maps = [
        f'<div class="wide">{heatmap_svg(results, via, standalone=False)}</div>'
        for via in _ORDER
        if via in results.vias
    ]
    return f'<div class="maps{large}">{"".join(maps)}</div>'


def _bars(results: Results) -> str:
    parts: list[str] = []
    for group in GROUPS:
        found = [(row.source, row.target) for via in _ORDER for row in results.group(group, via)]
        directions = list(dict.fromkeys(found))
        if directions:
            title = group_title(group, results.pivot)
            chart = bars_svg(results, directions, standalone=False)
            parts.append(_folded(title[0].upper() + title[1:], chart, not parts and len(found) < 100))
    return "".join(parts)


def _contrasts(results: Results) -> list[str]:
    """Return the chapter on whether direct and pivot really differ, where that was tested."""
    if not results.contrasts:
        return []
    rows = []
    for each in results.contrasts[:-1]:
        numbers = (f"{each.difference:+.2f}", f"{each.low:+.2f} … {each.high:+.2f}", escape(probability(each.adjusted)))
        rows.append(("", (each.source, each.target, each.verdict), numbers))
    heads = ("From", "To", results.contrasts[0].system.capitalize()), ("Difference", "95 %", "p (Holm)")
    table = _folded(f"All {len(rows)} directions", _table(*heads, rows), len(rows) < _MANY)
    return ["<h2>Is the difference real?</h2>", f"<p>{escape(in_words(results.contrasts))}</p>", table]


def _rows(results: Results) -> str:
    rows = []
    last = None
    for row in sorted(results.rows, key=lambda row: (row.source, row.target, _ORDER.index(row.via))):
        first = (row.source, row.target) != last
        last = (row.source, row.target)
        numbers = (f"{row.chrf:.2f}", f"{row.bleu:.2f}", f"{row.off_target:.1f} %", str(row.lines))
        rows.append(("first" if first else "", (row.source, row.target, VIA_TITLES[row.via]), numbers))
    table = _table(("From", "To", "Via"), ("chrF++", "BLEU", "Off target", "Lines"), rows)
    signatures = dict.fromkeys((row.signature, row.bleu_signature) for row in results.rows)
    lines = "".join(
        f"<p>chrF++ <code>{escape(chrf)}</code><br>BLEU <code>{escape(bleu)}</code></p>" for chrf, bleu in signatures
    )
    return lines + _folded(f"{len(rows)} rows", table, len(rows) <= _MANY)


def _method(results: Results) -> str:
    pivot = full_name(results.pivot)
    texts = [
        "Direct composes the source language’s and the target language’s adapters. "
        f"Pivot translates into {pivot} and from {pivot} with the same adapters, in two steps. "
        "Base is the frozen model without adapters.",
        "Off target is the share of outputs that are blank or identified as another language than the target.",
        identifier_note(results),
        *results.notes,
    ]
    facts = {
        "Test set": results.testset,
        "Command": results.command,
        "Versions": ", ".join(f"{name} {version}" for name, version in results.versions.items()),
        "Seconds": ", ".join(f"{name} {value:g}" for name, value in results.seconds.items()),
    }
    listed = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts.items() if value)
    return "".join(f"<p>{escape(text)}</p>" for text in texts if text) + f"<dl>{listed}</dl>"


def _table(names: Iterable[str], heads: Iterable[str], rows: Iterable[tuple[str, Iterable[str], Iterable[str]]]) -> str:
    top = "".join(f'<th class="name" scope="col">{escape(name)}</th>' for name in names)
    top += "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    body = []
    for kind, labels, numbers in rows:
        cells = "".join(f'<td class="name">{escape(label)}</td>' for label in labels)
        cells += "".join(f"<td>{escape(number)}</td>" for number in numbers)
        body.append(f'<tr class="{kind}">{cells}</tr>')
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def _folded(title: str, content: str, is_open: bool) -> str:
    return f"<details{' open' if is_open else ''}><summary>{escape(title)}</summary>{content}</details>"
