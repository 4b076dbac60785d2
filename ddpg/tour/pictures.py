"""The tour's pictures: graphs side by side, what ways cost over sizes, and where each loss's gradient went."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from ddpg.gradient_flow import picture
from ddpg.gradient_flow.records import Backward
from ddpg.tour.turns import Spread

_COLORS = colormaps["tab20"]


def side_by_side(passes: Mapping[str, Backward], columns: int) -> Figure:
    """The graphs of backward passes, each under its name, with one legend."""
    sizes = [picture.size(each) for each in passes.values()]
    width, height = max(width for width, _ in sizes), max(height for _, height in sizes)
    rows = -(-len(passes) // columns)
    figure = Figure((columns * width, rows * height + 0.5))
    whole_width, whole_height = figure.get_size_inches()
    for place, ((name, backward), (own_width, own_height)) in enumerate(zip(passes.items(), sizes, strict=True)):
        left, top = place % columns * width, whole_height - place // columns * height
        frame = (
            left / whole_width,
            (top - own_height) / whole_height,
            own_width / whole_width,
            own_height / whole_height,
        )
        picture.panel(figure.add_axes(frame), backward, name)
    picture.legend(figure.add_axes((0, 0, 4.6 / whole_width, 0.45 / whole_height)))
    return figure


def curves(panels: Mapping[str, Mapping[str, Mapping[int, Spread]]], axis: str) -> Figure:
    """One panel for each title: for each line, a figure with its range over x."""
    figure = Figure((4.4 * len(panels) + 2, 3.8), layout="constrained")
    for place, (title, lines) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(1, len(panels), place)
        for name, points in lines.items():
            xs = list(points)
            color = _COLORS(list(lines).index(name))
            axes.plot(xs, [points[x].median for x in xs], marker="o", markersize=3, label=name, color=color)
            axes.fill_between(xs, [points[x].least for x in xs], [points[x].most for x in xs], alpha=0.12, color=color)
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted({x for points in lines.values() for x in points}), minor=False)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel(title.rpartition(" over ")[2])
        axes.set_ylabel(axis)
        axes.grid(alpha=0.3)
    if len({tuple(lines) for lines in panels.values()}) == 1:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", fontsize=8)
    else:
        for axes in figure.axes:
            axes.legend(fontsize=7)
    return figure


def heat_maps(maps: Mapping[str, tuple[Sequence[str], Sequence[str], Sequence[Sequence[float]]]]) -> Figure:
    """For each title: losses, modules, and for each loss a row of gradient norms; 0 is left white."""
    figure = Figure((3.4 * len(maps), 2.8), layout="constrained")
    for place, (title, (losses, modules, norms)) in enumerate(maps.items(), 1):
        axes = figure.add_subplot(1, len(maps), place)
        most = max(map(max, norms))
        axes.imshow(np.ma.masked_equal(norms, 0), cmap="Oranges", vmin=-0.2 * most, vmax=most, aspect="auto")
        axes.set_xticks(range(len(modules)), modules, rotation=30, ha="right", fontsize=8)
        axes.set_yticks(range(len(losses)), losses, fontsize=8)
        for row, each in enumerate(norms):
            for column, norm in enumerate(each):
                axes.text(
                    column,
                    row,
                    f"{norm:.2g}" if norm else "0",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if norm > 0.6 * most else "black",
                )
        axes.set_title(title, fontsize=9)
    return figure
