"""Results in the terminal: the matrix of chrF++, and the averages."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lingraft.measure.labels import VIA_TITLES, group_title, short_codes
from lingraft.measure.results import Results
from lingraft.measure.row import GROUPS
from lingraft.measure.significance import in_words

_STYLES = {"direct": "bold", "pivot": "cyan", "base": "dim"}
_ORDER = ("direct", "pivot", "base")


def table(results: Results) -> RenderableType:
    """Return what `rich` prints: an N×N matrix, the averages below, and the notes.

    Args:
        results: What was measured.

    Returns:
        A renderable for `rich.console.Console.print`.
    """
    notes = [
        Text(note, style="dim")
        for note in (in_words(results.contrasts), identifier_note(results), *results.notes)
        if note
    ]
    return Group(matrix(results), averages(results), *notes)


def matrix(results: Results) -> Table:
    """Return the matrix of chrF++ and off-target rates: sources in rows, targets in columns, a line per via."""
    vias = [via for via in _ORDER if via in results.vias]
    names = short_codes(results.languages)
    legend = Text(" / ").join(Text(VIA_TITLES[via].lower(), style=_STYLES[via]) for via in vias)
    grid = Table(title=Text("chrF++ (off target, %)  ") + legend, title_style="", show_lines=True)
    grid.add_column("from ↓ to →")
    for language in results.languages:
        grid.add_column(names[language], justify="right")
    for source in results.languages:
        cells = []
        for target in results.languages:
            rows = [(via, results.row(source, target, via)) for via in vias]
            parts = [
                Text(f"{row.chrf:.1f} ({row.off_target:.0f})" if row else "–", style=_STYLES[via]) for via, row in rows
            ]
            cells.append(Text("\n").join(parts) if source != target else Text("·", style="dim"))
        grid.add_row(names[source], *cells)
    return grid


def averages(results: Results) -> Table:
    """Return the averages per group of directions and via."""
    summary = results.summary
    grid = Table(title="Averages", title_style="")
    grid.add_column("directions")
    grid.add_column("via")
    for name in ("chrF++", "BLEU", "off target"):
        grid.add_column(name, justify="right")
    for group in GROUPS:
        for number, via in enumerate(via for via in _ORDER if via in summary[group]):
            mean = summary[group][via]
            title = f"{group_title(group, results.pivot)} ({mean['directions']})" if number == 0 else ""
            numbers = (f"{mean['chrf++']:.1f}", f"{mean['bleu']:.1f}", f"{mean['off_target']:.1f} %")
            grid.add_row(title, VIA_TITLES[via].lower(), *numbers, style=_STYLES[via])
        if summary[group]:
            grid.add_section()
    if summary["ratio_direct_pivot"] is not None:
        grid.caption = f"direct reaches {100 * summary['ratio_direct_pivot']:.1f} % of the pivot's chrF++"
    return grid


def identifier_note(results: Results) -> str:
    """Return the sentence about how far the off-target numbers can be trusted, or nothing."""
    accuracy = results.identifier.get("accuracy")
    if not accuracy:
        return ""
    names = short_codes(list(accuracy))
    parts = ", ".join(f"{names[code]} {value:.1f}" for code, value in accuracy.items())
    return f"The language identifier is right on this percentage of the references: {parts}."
