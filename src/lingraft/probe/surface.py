"""Pictures of a search: what the candidates came to, where they lie, and how the best one was come to."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from lingraft.measure.labels import full_name
from lingraft.measure.picture import VIA_COLOURS, legend, shade, svg, text
from lingraft.probe.search import Trial
from lingraft.probe.search_found import Found

_SIDE, _LEFT, _TOP, _BETWEEN, _FOOT = 280, 58, 70, 80, 96  # in units of the view box
_CELLS = 28
_LENGTH, _NOISE = 0.22, 0.05  # of the field between the candidates: reach as a share of the range, and variance
_INK = VIA_COLOURS["direct"]


def search_svg(found: Sequence[Found], *, standalone: bool = True) -> str:
    """Draw searches below each other: on the left where the candidates lie, on the right how it went.

    Args:
        found: Outcomes, one per direction.
        standalone: Whether the picture will be a file of its own.

    Returns:
        The SVG element; its size in pixels is that of its view box.
    """
    high = _TOP + _SIDE + _FOOT
    parts = []
    for number, each in enumerate(found):
        y = number * high
        names = " → ".join(full_name(code) for code in each.direction)
        parts.append(text(8, y + 22, names, size=15, weight=600))
        parts.append(text(8, y + 42, _caption(each), size=12, opacity=0.75))
        draw = {"ratio": _line, "pair": _plane, "layers": _weights}[each.space.over]
        parts.append(draw(each, _LEFT, y + _TOP))
        parts.append(_course(each, _LEFT + _SIDE + _BETWEEN, y + _TOP))
    width = _LEFT + 2 * _SIDE + _BETWEEN + 24
    return svg(width, high * len(found), "Search for recipes", parts, standalone)


def _caption(found: Found) -> str:
    gain = found.gain
    return (
        f"{found.sampler}, {len(found.trials)} trials on {found.seen} sentences; on {gain.lines} others "
        f"{gain.difference:+.2f} chrF++ (95 %: {gain.low:+.2f} … {gain.high:+.2f})"
    )


def field(points: NDArray[np.float64], values: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a smooth surface through noisy values: the mean of a Gaussian process with a squared exponential kernel.

    Args:
        points: [n, d] places in the unit cube.
        values: [n] what was found there.
        at: [m, d] places to tell of.

    Returns:
        [m] values; far from all points, their mean.
    """

    def kernel(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp(-((one[:, None] - other[None]) ** 2).sum(-1) / (2 * _LENGTH**2))

    mean, spread = values.mean(), values.std() or 1.0
    weights = np.linalg.solve(kernel(points, points) + _NOISE * np.eye(len(points)), (values - mean) / spread)
    return np.asarray(mean + spread * (kernel(at, points) @ weights))


def _plane(found: Found, x: float, y: float) -> str:
    """Return the candidates in the plane of the two weights, over the surface between them."""
    names, (low, high) = list(found.space.bounds), next(iter(found.space.bounds.values()))
    points = np.array([[trial.point[name] for name in names] for trial in found.trials])
    values = np.array([trial.verdict.value for trial in found.trials])
    middle = (np.arange(_CELLS) + 0.5) / _CELLS
    at = np.stack(np.meshgrid(middle, middle), axis=-1).reshape(-1, 2)  # source across, target up
    surface = field((points - low) / (high - low), values, at)
    ends = _ends(np.concatenate([values, surface]))
    cell = _SIDE / _CELLS
    parts = [
        f'<rect x="{x + a * _SIDE - cell / 2:.2f}" y="{y + (1 - b) * _SIDE - cell / 2:.2f}" '
        f'width="{cell + 0.5:.2f}" height="{cell + 0.5:.2f}" fill="{shade(value, *ends)[0]}"/>'
        for (a, b), value in zip(at, surface, strict=True)
    ]
    for trial, (a, b) in zip(found.trials, (points - low) / (high - low), strict=True):
        best = trial is found.best
        parts.append(
            f'<circle cx="{x + a * _SIDE:.1f}" cy="{y + (1 - b) * _SIDE:.1f}" r="{7 if best else 4}" '
            f'fill="{shade(trial.verdict.value, *ends)[0]}" stroke="{"#d1242f" if best else "#1c1f24"}" '
            f'stroke-width="{3 if best else 1}"><title>{escape(_told(trial))}</title></circle>'
        )
    parts += _axes(x, y, (low, high), (low, high), "source weight", "target weight")
    parts.append(legend(x, y + _SIDE + 46, 200, *ends))
    return "".join(parts)


def _line(found: Found, x: float, y: float) -> str:
    """Return the candidates over the ratio."""
    values = np.array([trial.verdict.value for trial in found.trials])
    ratios = np.array([[trial.point["ratio"]] for trial in found.trials])
    at = np.linspace(0, 1, 101)[:, None]
    surface = field(ratios, values, at)
    ends = _ends(np.concatenate([values, surface]))
    spots = [(x + _SIDE * r[0], y + _high(value, ends)) for r, value in zip(at, surface, strict=True)]
    parts = [_path(spots, _INK, 0.5)]
    for trial, (ratio,) in zip(found.trials, ratios, strict=True):
        parts.append(_dot(x + _SIDE * ratio, y + _high(trial.verdict.value, ends), trial, trial is found.best))
    return "".join(parts + _axes(x, y, (0, 1), ends, "λ: source 1 − λ, target λ", found.objective))


def _weights(found: Found, x: float, y: float) -> str:
    """Return the weights of the best candidate by group of layers."""
    pairs = found.space.pairs(found.best.point)
    step = _SIDE / len(pairs)
    high = max(bound for _, bound in found.space.bounds.values())
    parts = []
    for number, (unit, weights) in enumerate(pairs.items()):
        top = y + number * step
        parts.append(text(x - 6, top + step / 2 + 4, unit.replace("coder", "c"), size=11, anchor="end", title=unit))
        for side, (weight, colour) in enumerate(zip(weights, VIA_COLOURS.values(), strict=False)):
            bar = f'x="{x}" y="{top + side * step * 0.4 + step * 0.1:.1f}" height="{step * 0.38:.1f}" rx="2"'
            title = f"{unit} {('source', 'target')[side]} {weight:.2f}"
            parts.append(
                f'<rect {bar} width="{max(1.0, _SIDE * weight / high):.1f}" fill="{colour}">'
                f"<title>{escape(title)}</title></rect>"
            )
    one = x + _SIDE / high
    parts.append(
        f'<line x1="{one}" x2="{one}" y1="{y}" y2="{y + _SIDE}" stroke="currentColor" stroke-dasharray="3 3"/>'
    )
    for side, colour in enumerate(list(VIA_COLOURS.values())[:2]):
        parts.append(f'<rect x="{x + side * 90}" y="{y + _SIDE + 48}" width="12" height="12" rx="2" fill="{colour}"/>')
        parts.append(text(x + side * 90 + 18, y + _SIDE + 59, ("source", "target")[side], size=12))
    return "".join(parts + _axes(x, y, (0, high), None, "weight of the best", ""))


def _course(found: Found, x: float, y: float) -> str:
    """Return the value of each trial in their order, and the best so far."""
    values = [trial.verdict.value for trial in found.trials]
    ends = _ends(np.array(values))
    width = max(len(values) + len(values) % 2, 2)  # even: the axis names its middle too
    step = _SIDE / width
    so_far = list(accumulate(values, max))
    spots: list[tuple[float, float]] = []
    for number, value in enumerate(so_far):
        spots += [(x + step * number, y + _high(value, ends)), (x + step * (number + 1), y + _high(value, ends))]
    parts = [_path(spots, _INK, 1.0)]
    for number, trial in enumerate(found.trials):
        spot = x + step * (number + 0.5), y + _high(trial.verdict.value, ends)
        parts.append(_dot(*spot, trial, trial is found.best))
    label = "chrF++, wrong language as 0" if found.objective == "chrf" else "− loss per token"
    return "".join(parts + _axes(x, y, (0, width), ends, "trials", label))


def _axes(
    x: float, y: float, across: tuple[float, float], up: tuple[float, float] | None, below: str, above: str
) -> list[str]:
    """Return frame, ends and names of a panel's axes."""
    frame = f'x="{x}" y="{y}" width="{_SIDE}" height="{_SIDE}"'
    parts = [f'<rect {frame} fill="none" stroke="currentColor" opacity="0.35"/>']
    for part, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        value = across[0] + part * (across[1] - across[0])
        parts.append(text(x + part * _SIDE, y + _SIDE + 15, f"{value:g}", size=11, anchor=anchor))
        if up is not None:
            value = up[0] + part * (up[1] - up[0])
            parts.append(text(x - 6, y + (1 - part) * _SIDE + 4, f"{value:g}", size=11, anchor="end"))
    parts.append(text(x + _SIDE / 2, y + _SIDE + 32, below, size=12, anchor="middle"))
    return [*parts, text(x, y - 8, above, size=12)]


def _ends(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return round ends around values."""
    low, high = float(values.min()), float(values.max())
    unit = 10.0 ** np.floor(np.log10(max(high - low, 1e-6)))
    first, last = float(np.floor(low / unit) * unit), float(np.ceil(high / unit) * unit)
    return round(first, 6), round(last if last > first else first + unit, 6)


def _high(value: float, ends: tuple[float, float]) -> float:
    return _SIDE * (1 - (value - ends[0]) / (ends[1] - ends[0]))


def _path(spots: Sequence[tuple[float, float]], colour: str, opacity: float) -> str:
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in spots)
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2" opacity="{opacity:g}"/>'


def _dot(x: float, y: float, trial: Trial, best: bool) -> str:
    ring = ' stroke="#d1242f" stroke-width="3"' if best else ""
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{6 if best else 3.5}" fill="{_INK}"{ring}>'
        f"<title>{escape(_told(trial))}</title></circle>"
    )


def _told(trial: Trial) -> str:
    """Return a trial as a sentence, for hovering."""
    words = ", ".join(f"{name} {value:.2f}" for name, value in trial.point.items())
    verdict = trial.verdict
    scores = "" if verdict.chrf is None else f" (chrF++ {verdict.chrf:.2f}, off target {verdict.off_target:.1f} %)"
    return f"{words}: {verdict.value:.3f}{scores}"
