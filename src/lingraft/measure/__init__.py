"""Translations → scores with signatures; the N×N matrix; table, pictures and report."""

from lingraft.measure.matrix import LineParallel, Translate, measure
from lingraft.measure.picture import bars_svg, heatmap_svg
from lingraft.measure.quick import OneDirection, score
from lingraft.measure.report import html_report, write_report
from lingraft.measure.results import Results
from lingraft.measure.row import GROUPS, VIAS, Row
from lingraft.measure.scores import Scorer, bleu_tokenizer
from lingraft.measure.scores import score as score_texts
from lingraft.measure.table import averages, matrix, table

__all__ = [
    "GROUPS",
    "VIAS",
    "LineParallel",
    "OneDirection",
    "Results",
    "Row",
    "Scorer",
    "Translate",
    "averages",
    "bars_svg",
    "bleu_tokenizer",
    "heatmap_svg",
    "html_report",
    "matrix",
    "measure",
    "score",
    "score_texts",
    "table",
    "write_report",
]
