"""Draws the graph of a loss as a picture. The layout is fast-sugiyama's, the drawing matplotlib's."""

import logging
from collections.abc import Sequence

from ddpg.gradient_flow.diagram import Diagram, Link, Operation
from ddpg.gradient_flow.drawing import Fate, blamed, fate, title, way
from ddpg.gradient_flow.records import Backward, Finding

try:
    from fast_sugiyama import from_edges
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
except ImportError as error:
    raise ImportError(f"a picture needs matplotlib and fast-sugiyama ({error}): install both with pip.") from error

for _name in ("rust-sugiyama", "rust_sugiyama", "connected_components"):  # the layout tells of its every phase
    logging.getLogger(_name).setLevel(logging.WARNING)

# Okabe and Ito's colours, which colour-blind readers tell apart (jfly.uni-koeln.de/color).
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_RED, _GREY, _INK = "#C1121F", "#A8A8A8", "#222222"
_ROW, _COLUMN = 0.29, 1.9  # inches
_BOX, _HEIGHT = 1.1, 0.19
_TOP = 0.6


def figure(backward: Backward, findings: Sequence[Finding] = (), heading: str | None = None) -> Figure:
    """Draw one loss with a legend; what findings are about in red, under their names."""
    width, height = size(backward)
    drawn = Figure((max(width, 4.6), height + 0.5), dpi=160)
    total = height + 0.5
    axes = drawn.add_axes((0, 0.5 / total, width / drawn.get_figwidth(), height / total))
    panel(axes, backward, _heading(backward) if heading is None else heading, findings)
    legend(drawn.add_axes((0, 0, 4.6 / drawn.get_figwidth(), 0.45 / total)))
    return drawn


def _heading(backward: Backward) -> str:
    functions = dict.fromkeys(place.function for place in backward.stack[:2])
    return f"{backward.place}\n{' ← '.join(functions)}"


def size(backward: Backward) -> tuple[float, float]:
    """Return width and height of a panel in inches."""
    centres = positions(_diagram(backward)).values()
    right, bottom = max(x for x, _ in centres), min(y for _, y in centres)
    return max(right + _BOX / 2 + 0.55, 2.9), _TOP + _ROW - bottom


def panel(axes: Axes, backward: Backward, text: str, findings: Sequence[Finding] = ()) -> None:
    """Draw one loss into axes of its `size`, under a heading."""
    diagram, blame = _diagram(backward), blamed(backward, findings)
    leaking = way(diagram, blame)
    centres = positions(diagram)
    colours = {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate(diagram.names)}
    axes.set_axis_off()
    axes.text(0.12, _TOP - 0.1, text, fontsize=7.5, weight="bold", color=_INK, va="top", linespacing=1.4)
    for call, operations in diagram.calls().items():
        if call is not None:
            reached = any(map(diagram.gets_gradient, operations))
            shade = _GREY if diagram.behind.issuperset(operations) else colours[call.name]
            note = "" if reached else "not reached"
            if any(fate(backward, diagram, each) is Fate.UNUSED for each in operations):
                note = _why_unused(backward, call.name)
            _cluster(axes, [centres[each] for each in operations], f"{call.name}\n{note}".strip(), shade)
        guilty = [each for each in operations if each in blame]
        for group in [guilty] if call is not None and guilty else [[each] for each in guilty]:
            _fault(axes, [centres[each] for each in group], blame[group[0]])
    for (one, other), link in diagram.links.items():
        _line(axes, centres[one], centres[other], link, _RED if (one, other) in leaking else _INK)
    for operation, centre in centres.items():
        name = operation.calls[0].name if operation.calls else ""
        colour = _GREY if operation in diagram.behind else colours.get(name, _INK)
        colour = _RED if operation in blame else colour
        _box(axes, centre, title(operation), colour, diagram.gets_gradient(operation))
        if operation.parameters:
            _parameters(axes, centre, operation, colour, fate(backward, diagram, operation))
    width, height = size(backward)
    axes.set_xlim(0, width)
    axes.set_ylim(_TOP - height, _TOP)


def legend(axes: Axes) -> None:
    """Draw what the marks mean."""
    entries = [("→", _INK, "gradient"), ("▬", _RED, "stop"), ("┄", _GREY, "no gradient passes")]
    entries += [("●", _INK, "applied by a step"), ("✕", _RED, "computed, not applied"), ("○", _INK, "none arrived")]
    for place, (mark, colour, text) in enumerate(entries):
        x, y = 0.04 + place % 3 * 0.34, 0.75 - 0.45 * (place // 3)
        axes.text(x, y, mark, fontsize=8, color=colour, va="center", ha="center")
        axes.text(x + 0.03, y, text, fontsize=7, color=_INK, va="center")
    axes.set_axis_off()


def _why_unused(backward: Backward, name: str) -> str:
    for each in backward.contributions.values():
        if each.lost is not None and each.lost.before is not None and name in each.lost.before.holds:
            return f"{each.lost.how} before the step"
    step = backward.followed_by
    return "never applied" if step is None or name in step.holds else "not held by the step"


def _diagram(backward: Backward) -> Diagram:
    assert backward.diagram is not None
    return backward.diagram


def positions(diagram: Diagram) -> dict[Operation, tuple[float, float]]:
    """Return the centre of each box in inches, the loss at the top, y downwards negative."""
    number = {each: position for position, each in enumerate(diagram.operations)}
    raw: dict[int, tuple[float, float]] = {}
    left = 0.0
    edges = [(number[one], number[other]) for one, other in diagram.links]
    for component, width, _, _ in from_edges(edges, vertex_spacing=1.0) if edges else []:
        top = max(y for _, (_, y) in component)
        raw |= {int(node): (x + left, y - top) for node, (x, y) in component}
        left += width + 1
    for place in number.values():  # what no line leads to or from
        if place not in raw:
            raw[place] = left, 0.0
            left += 1
    smallest = min(x for x, _ in raw.values())
    # A row from which lines go sideways gets more room.
    wide = {raw[one][1] for one, other in edges if abs(raw[one][0] - raw[other][0]) > 0.1}
    heights: dict[float, float] = {}
    y = 0.0
    for row in sorted({y for _, y in raw.values()}, reverse=True):
        heights[row] = y
        y -= _ROW * (1.5 if row in wide else 1)
    return {
        operation: ((raw[place][0] - smallest) * _COLUMN + _BOX / 2 + 0.42, heights[raw[place][1]])
        for operation, place in number.items()
    }


def _around(centres: Sequence[tuple[float, float]]) -> tuple[float, float, float, float]:
    """Return left, right, bottom and top of a frame around boxes."""
    xs, ys = zip(*centres, strict=True)
    return min(xs) - _BOX / 2 - 0.06, max(xs) + _BOX / 2 + 0.47, min(ys) - _HEIGHT * 0.7, max(ys) + _HEIGHT * 0.7


def _cluster(axes: Axes, centres: Sequence[tuple[float, float]], text: str, colour: str) -> None:
    """Shade all boxes of one call of a module."""
    left, right, bottom, top = _around(centres)
    axes.add_patch(
        Rectangle((left, bottom), right - left, top - bottom, facecolor=colour, alpha=0.14, edgecolor="none", zorder=0)
    )
    lines = text.split("\n")
    fitting = [each for each in lines if len(each) * 0.055 < top - bottom] or lines[:1]
    axes.text(
        left - 0.04,
        (bottom + top) / 2,
        "\n".join(fitting),
        fontsize=6.5,
        color="#777777" if colour == _GREY else colour,
        weight="bold",
        rotation=90,
        ha="right",
        va="center",
        linespacing=1.1,
    )


def _fault(axes: Axes, centres: Sequence[tuple[float, float]], kind: str) -> None:
    """Frame what a finding is about, under a flag with the finding's name."""
    left, right, bottom, top = _around(centres)
    size = right - left, top - bottom
    axes.add_patch(
        FancyBboxPatch((left, bottom), *size, "square,pad=0", fill=False, edgecolor=_RED, linewidth=1.6, zorder=5)
    )
    flag = {"boxstyle": "square,pad=0.15", "facecolor": _RED, "edgecolor": "none"}
    axes.text(right, top, kind, fontsize=6, color="white", weight="bold", ha="right", va="center", bbox=flag, zorder=6)


def _box(axes: Axes, centre: tuple[float, float], text: str, colour: str, gets_gradient: bool) -> None:
    x, y = centre
    axes.add_patch(
        FancyBboxPatch(
            (x - _BOX / 2, y - _HEIGHT / 2),
            _BOX,
            _HEIGHT,
            boxstyle="round,pad=0,rounding_size=0.05",
            facecolor="white",
            edgecolor=colour,
            linewidth=1.1,
            linestyle="-" if gets_gradient else (0, (2, 1.5)),
            zorder=3,
        )
    )
    axes.text(
        x, y - 0.005, text, fontsize=6.5, color=_INK if gets_gradient else "#777777", ha="center", va="center", zorder=4
    )


def _parameters(axes: Axes, centre: tuple[float, float], operation: Operation, colour: str, gradient: Fate) -> None:
    """Write an operation's parameters beside its box, and mark what they got."""
    x, y = centre[0] + _BOX / 2 + 0.1, centre[1]
    filled = colour if gradient is Fate.APPLIED else "white"
    axes.plot([x], [y], "o", markersize=4.5, markerfacecolor=filled, markeredgecolor=colour, zorder=4)
    if gradient is Fate.UNUSED:
        axes.plot([x], [y], "x", markersize=6.5, markeredgewidth=1.6, color=_RED, zorder=5)
    names = [each.rpartition(".")[2][:9] for each in operation.parameters]
    shown = names if len(names) <= 2 else [names[0], f"and {len(names) - 1} more"]
    axes.text(x + 0.08, y, "\n".join(shown), fontsize=5.4, color=_INK, va="center", linespacing=1.0, zorder=4)


def _line(axes: Axes, start: tuple[float, float], end: tuple[float, float], link: Link, ink: str) -> None:
    carries = link is Link.GRADIENT
    axes.add_patch(
        FancyArrowPatch(
            (start[0], start[1] - _HEIGHT / 2),
            (end[0], end[1] + _HEIGHT / 2),
            arrowstyle="-|>,head_length=2.4,head_width=1.4" if carries else "-",
            shrinkA=0,
            shrinkB=0,
            linewidth=1.2 if carries else 0.9,
            linestyle="-" if carries else (0, (2, 2)),
            color=ink if carries else _GREY,
            zorder=2,
        )
    )
    if link is Link.CUT:
        x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
        axes.plot([x - 0.16, x + 0.16], [y, y], color=_RED, linewidth=2.6, solid_capstyle="butt", zorder=5)
