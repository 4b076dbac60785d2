"""Draw learning curves and differences from the baseline."""

from functools import reduce

import numpy as np
from matplotlib.figure import Figure

from ddpg.comparison.comparison import Comparison, Runs, Section, label, shown, weights
from ddpg.comparison.measures import CURVES, DIFFERENCES, curve, difference
from ddpg.comparison.statistics import estimate

WIDTH = 8.5  # inches; at the 850 pixels that GitHub shows, 10 points are 14 pixels


def curves(comparison: Comparison, section: Section) -> Figure:
    """Draw a row for each measure and a column for each panel; lines with the same weights are drawn as one."""
    panels = comparison.panels(section)
    runs = [run for lines in panels.values() for of_line in lines.values() for run in of_line.values()]
    drawn = [measure for measure in CURVES if any(curve(run, measure).values.any() for run in runs)]
    figure = Figure((max(WIDTH, 3 * len(panels)), 2 * len(drawn) + 1), layout="constrained")
    axes = figure.subplots(len(drawn), len(panels), squeeze=False, sharex=True, sharey="row")
    handles = {}
    for column, (panel, lines) in zip(axes.T, panels.items(), strict=True):
        column[0].set_title(label(zip(comparison.keys[1:], [panel], strict=False)))
        column[-1].set_xlabel("environment steps")
        for line, of_line in lines.items():
            same = [other for other in lines if weights(lines[other]) == weights(of_line)]
            if line != same[0]:
                continue
            names, color = " = ".join(map(shown, same)), f"C{comparison.lines.index(line) % 10}"
            for ax, measure in zip(column, drawn, strict=True):
                steps, values = common(of_line, measure)
                if len(steps):
                    found = estimate(values)
                    (handles[names],) = ax.plot(steps, found.value, color=color)
                    ax.fill_between(steps, found.low, found.high, color=color, alpha=0.2, linewidth=0)
    for ax, measure in zip(axes[:, 0], drawn, strict=True):
        ax.set_ylabel(measure)
    for ax in axes.flat:
        ax.grid(alpha=0.3)
    figure.legend(handles.values(), handles.keys(), title=comparison.keys[0], loc="outside upper left")
    return figure


def common(runs: Runs, measure: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps `(points,)` at which all runs have a point of the curve, and its values `(seeds, points)`."""
    found = [curve(run, measure) for run in runs.values()]
    steps = reduce(np.intersect1d, [each.steps for each in found])
    return steps, np.stack([each.values[np.searchsorted(each.steps, steps)] for each in found])


def differences(comparison: Comparison, section: Section) -> Figure:
    """Draw a panel for each measure, with a dot and its interval for each place that differs from the baseline."""
    places = comparison.differing(section)
    figure = Figure((WIDTH, (0.3 * len(places) + 0.8) * len(DIFFERENCES) + 0.4), layout="constrained")
    keys, baseline = ", ".join(comparison.keys), shown(comparison.baseline)
    figure.suptitle(f"{keys}: difference from {baseline}, paired by seed")
    for ax, measure in zip(figure.subplots(len(DIFFERENCES), 1), DIFFERENCES, strict=True):
        for height, place in enumerate(places):
            found = difference(comparison.places[place], comparison.baseline_of(place), measure)
            color = "tab:red" if found.beyond_zero else "tab:gray"
            ax.plot([found.low, found.high], [height, height], color=color, linewidth=3)
            ax.plot(found.value, height, "o", color=color)
        ax.axvline(0, color="black", linewidth=0.8)
        ax.set_title(measure)
        ax.set_yticks(range(len(places)), [place.name() for place in places])
        ax.set_ylim(len(places) - 0.5, -0.5)
        ax.grid(alpha=0.3, axis="x")
    return figure
